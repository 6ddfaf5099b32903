#include "therapy/regimen.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sanctuary {

Regimen::Regimen(MPI_Comm comm, const Grid& grid, const EmbeddedNetwork* network, std::vector<Drug> drugs,
                 CellPopulation cells, double relative_tolerance)
    : comm_(comm),
      grid_(&grid),
      kill_(comm, drugs, std::move(cells), relative_tolerance),
      relative_tolerance_(relative_tolerance),
      tried_(drugs.size(), 0) {
  courses_.resize(drugs.size());
  for (std::size_t d = 0; d < drugs.size(); ++d) {
    DrugCourse& course = courses_[d];
    course.drug = std::move(drugs[d]);
    for (std::size_t other = 0; other < d; ++other) {
      if (courses_[other].drug.payload == course.drug.name) course.carriers.push_back(other);
    }
    course.op = std::make_unique<CellOperator>(grid);
    course.transport = std::make_unique<TransportSolver>(grid, network, "drug_" + course.drug.name + "_");
    course.transport->relative_tolerance = relative_tolerance;
  }
}

void Regimen::set_plasma(std::size_t drug, double host_rate) {
  DrugCourse& course = courses_[drug];
  PlasmaModel model = course.drug.plasma;
  model.host_rate = host_rate;
  course.plasma = std::make_unique<PlasmaKinetics>(model, course.drug.doses);
  course.starts = std::numeric_limits<double>::infinity();
  for (const double t : course.plasma->events()) course.starts = std::min(course.starts, t);
  for (const std::size_t other : course.carriers) course.starts = std::min(course.starts, courses_[other].starts);
  for (const double t : course.plasma->events()) events_.push_back(t);
  std::sort(events_.begin(), events_.end());
  events_.erase(std::unique(events_.begin(), events_.end()), events_.end());
}

double Regimen::plasma(std::size_t drug, double time) const {
  double sum = courses_[drug].plasma->concentration(time);
  for (const std::size_t other : courses_[drug].carriers) sum += courses_[other].plasma->metabolite(time);
  return sum;
}

void Regimen::set_response(std::size_t drug, std::vector<double> accessible, std::vector<double> site_factor) {
  DrugCourse& course = courses_[drug];
  TransportSolver& transport = *course.transport;
  transport.inlet = [this, drug](double t) { return plasma(drug, std::min(t, horizon_)); };
  // Beyond the piece the interstitium of the host is well mixed and fed by its vessels.
  transport.outside = [this, drug](double t) {
    const DrugCourse& of = courses_[drug];
    double sum = of.plasma->host(t);
    for (const std::size_t other : of.carriers) sum += courses_[other].plasma->metabolite(std::min(t, horizon_));
    return of.drug.unbound_fraction * sum;
  };
  double peak = 0;
  for (const double t : course.plasma->events()) peak = std::max(peak, course.drug.unbound(plasma(drug, t)));
  // What carriers set free in tissue may be far above or below that in plasma: a hundredth of what they hold.
  for (const std::size_t other : course.carriers)
    peak = std::max(peak, 1e-2 * courses_[other].drug.payload_ratio * courses_[other].transport->scale);
  transport.scale = std::max(peak, 1e-12);
  // Targets hold nearly all there is of a drug that binds well: the little that is free need not be known as closely.
  if (course.drug.target.number > 0) transport.least_share = 1e-2;
  course.response =
      std::make_unique<DrugResponse>(comm_, course.drug, kill_, std::move(accessible), std::move(site_factor),
                                     grid_->cell_volume(), relative_tolerance_, transport.scale);
  for (const std::size_t other : course.carriers) course.response->add_carrier(*courses_[other].response);
}

void Regimen::open() {
  std::vector<Drug> drugs;
  for (DrugCourse& course : courses_) {
    course.transport->open_ledger();
    drugs.push_back(course.drug);
  }
  reference_ = std::make_unique<ReferenceCell>(
      std::move(drugs), [this](std::size_t d, double t) { return courses_[d].drug.unbound(plasma(d, t)); }, events_,
      kill_.population().cell_volume, kill_.clones());
}

StepReport Regimen::attempt(double time, double dt) {
  StepReport all;
  all.converged = true;
  kill_.begin(dt);
  std::fill(tried_.begin(), tried_.end(), 0);
  for (std::size_t d = 0; d < courses_.size(); ++d) {
    DrugCourse& course = courses_[d];
    if (time + dt <= course.starts) {
      course.response->set_free_nothing();
      continue;
    }
    const StepReport report = course.transport->attempt(time, dt, course.response.get());
    tried_[d] = 1;
    all.newton += report.newton;
    all.linear += report.linear;
    all.applied += report.applied;
    all.limited += report.limited;
    all.error = std::max(all.error, report.error);
    all.undershoot = std::max(all.undershoot, report.undershoot);
    if (!report.converged) {
      all.converged = false;
      all.reason = course.drug.name + ": " + report.reason;
      return all;
    }
    if (report.error > 1) return all;
    const std::size_t cells = kill_.cells();
    const ReadAccess first(course.transport->stage_cells(1)), second(course.transport->stage_cells(2));
    course.response->set_free({first.data(), cells}, {second.data(), cells});
    if (!kill_.kills(d)) continue;
    course.response->effect(1, {first.data(), cells}, kill_.exposure(d, 1));
    course.response->effect(2, {second.data(), cells}, kill_.exposure(d, 2));
  }
  all.error = std::max(all.error, kill_.attempt());
  return all;
}

void Regimen::accept() {
  // Carriers last: the others book what those set free.
  for (std::size_t d = courses_.size(); d-- > 0;) {
    if (tried_[d]) courses_[d].transport->accept();
  }
  kill_.accept();
}

void Regimen::refuse() {
  for (std::size_t d = 0; d < courses_.size(); ++d) {
    if (tried_[d]) courses_[d].transport->refuse();
  }
}

void Regimen::forget_slopes() {
  for (DrugCourse& course : courses_) {
    course.transport->forget_slope();
    course.response->forget_slope();
  }
  kill_.forget_slope();
}

void Regimen::start_cycle(std::vector<double> cycling_share) {
  kill_.start_cycle(std::move(cycling_share));
  for (DrugCourse& course : courses_) course.response->start_cycle();
}

}  // namespace sanctuary

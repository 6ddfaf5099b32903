#pragma once
#include "therapy/drug.hpp"

namespace sanctuary {

/// Free concentration in well-mixed host interstitium around the piece: dC/dt = rate (C_u - C), C_u the unbound plasma
/// concentration, rate = P S/V over the accessible fraction; the convolution of the plasma course with the exponential
/// kernel, by Gauss-Legendre panels between the kinks of the plasma course (relative error under 1e-9).
[[nodiscard]] double host_interstitial_concentration(const PlasmaKinetics& plasma, double unbound_fraction, double rate,
                                                     double time);

}  // namespace sanctuary

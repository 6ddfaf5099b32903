#include "solvers/multigrid_kernels.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "solvers/simd.hpp"

// Products and sums keep their order (no contraction, see CMakeLists.txt), so that each cell's value has the same
// digits wherever it is computed.
namespace sanctuary::kernels {
namespace {

enum Side { west, east, south, north, below, above };

/// First and last position along a row of the cells of one colour between x = low and x = high: at x = 2m where the row
/// starts with that colour (`starts`), at x = 2m + 1 else.
inline long position(long x, bool starts) { return starts ? (x + 1) >> 1 : x >> 1; }

/// Pointers to the six coefficients of a row of cells of `colour`, position 0.
struct RowCoefficients {
  const float *w, *e, *s, *n, *b, *t;
};

inline RowCoefficients row_coefficients(const LevelArrays& level, int colour, long q, bool starts) {
  const auto& own = level.coefficient[colour];
  if (own[west]) return {own[west] + q, own[east] + q, own[south] + q, own[north] + q, own[below] + q, own[above] + q};
  // The red neighbour to the west holds this face as its east one, and so on.
  const auto& red = level.coefficient[0];
  const long shift = starts ? 1 : 0;
  return {red[east] + q - shift,         red[west] + q + 1 - shift,       red[north] + q - level.at.row,
          red[south] + q + level.at.row, red[above] + q - level.at.plane, red[below] + q + level.at.plane};
}

using vector8 = double __attribute__((vector_size(64)));

inline __attribute__((always_inline)) double sum8(const vector8& v) {
  return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

/// Sum of a b from one entry to another, in an order that depends on these alone.
inline __attribute__((always_inline)) double dot_range(const double* a, const double* b, long from, long to) {
  vector8 sum{};
  long i = from;
  for (; i + 8 <= to; i += 8) {
    vector8 x, y;
    std::memcpy(&x, a + i, sizeof x);
    std::memcpy(&y, b + i, sizeof y);
    sum += x * y;
  }
  double total = sum8(sum);
  for (; i < to; ++i) total += a[i] * b[i];
  return total;
}

/// even, odd = scale v, v of n entries.
inline __attribute__((always_inline)) void split_row(const double* __restrict__ v, long n, double scale,
                                                     float* __restrict__ even, float* __restrict__ odd) {
  for (long m = 0; m < (n + 1) / 2; ++m) even[m] = static_cast<float>(v[2 * m] * scale);
  for (long m = 0; m < n / 2; ++m) odd[m] = static_cast<float>(v[2 * m + 1] * scale);
}

}  // namespace

SANCTUARY_CLONES void smooth(const LevelArrays& level, int colour, bool from_zero, const IndexBox& box) {
  const long row = level.at.row, plane = level.at.plane;
  for (long k = box.low[2]; k < box.high[2]; ++k) {
    for (long j = box.low[1]; j < box.high[1]; ++j) {
      const long q = level.at.at(j, k);
      const bool starts = level.at.first(j, k) == colour;
      const long low = position(box.low[0], starts), high = position(box.high[0], starts);
      float* __restrict__ u = level.u[colour] + q;
      const float* __restrict__ f = level.f[colour] + q;
      const float* __restrict__ d = level.inverse_diagonal[colour] + q;
      if (from_zero) {
        for (long m = low; m < high; ++m) u[m] = f[m] * d[m];
        continue;
      }
      const RowCoefficients c = row_coefficients(level, colour, q, starts);
      const float* __restrict__ cw = c.w;
      const float* __restrict__ ce = c.e;
      const float* __restrict__ cs = c.s;
      const float* __restrict__ cn = c.n;
      const float* __restrict__ cb = c.b;
      const float* __restrict__ ct = c.t;
      const float* v = level.u[1 - colour] + q;
      const float* __restrict__ vw = v - (starts ? 1 : 0);
      const float* __restrict__ ve = vw + 1;
      const float* __restrict__ vs = v - row;
      const float* __restrict__ vn = v + row;
      const float* __restrict__ vb = v - plane;
      const float* __restrict__ vt = v + plane;
#pragma GCC ivdep
      for (long m = low; m < high; ++m) {
        u[m] = (f[m] + ((cw[m] * vw[m] + ce[m] * ve[m]) + (cs[m] * vs[m] + cn[m] * vn[m])) +
                (cb[m] * vb[m] + ct[m] * vt[m])) *
               d[m];
      }
    }
  }
}

SANCTUARY_CLONES void restrict_residual(const LevelArrays& level, const bool (&coarse)[3], const IndexBox& box,
                                        const BoxArray<float>& out) {
  const long row = level.at.row, plane = level.at.plane;
  const auto& n = level.at.size;
  const long yc = coarse[1] ? 2 : 1, zc = coarse[2] ? 2 : 1;
  for (long kc = box.low[2]; kc < box.high[2]; ++kc) {
    for (long jc = box.low[1]; jc < box.high[1]; ++jc) {
      float* __restrict__ o = out.at(out.box.low[0], jc, kc) - out.box.low[0];
      for (long i = box.low[0]; i < box.high[0]; ++i) o[i] = 0;
      for (long k = zc * kc; k < std::min(zc * (kc + 1), n[2]); ++k) {
        for (long j = yc * jc; j < std::min(yc * (jc + 1), n[1]); ++j) {
          const long q = level.at.at(j, k);
          const bool starts = level.at.first(j, k) == 0;
          const RowCoefficients c = row_coefficients(level, 0, q, starts);
          const float* __restrict__ cw = c.w;
          const float* __restrict__ ce = c.e;
          const float* __restrict__ cs = c.s;
          const float* __restrict__ cn = c.n;
          const float* __restrict__ cb = c.b;
          const float* __restrict__ ct = c.t;
          const float* v = level.u[1] + q;
          const float* __restrict__ vw = v - (starts ? 1 : 0);
          const float* __restrict__ ve = vw + 1;
          const float* __restrict__ vs = v - row;
          const float* __restrict__ vn = v + row;
          const float* __restrict__ vb = v - plane;
          const float* __restrict__ vt = v + plane;
          const auto flux = [&](long m) __attribute__((always_inline)) {
            return ((cw[m] * vw[m] + ce[m] * ve[m]) + (cs[m] * vs[m] + cn[m] * vn[m])) +
                   (cb[m] * vb[m] + ct[m] * vt[m]);
          };
          if (coarse[0]) {
            const long high = std::min(box.high[0], position(n[0], starts));
#pragma GCC ivdep
            for (long m = box.low[0]; m < high; ++m) o[m] += flux(m);
          } else {
            const long shift = starts ? 0 : 1;
            const long low = position(box.low[0], starts), high = position(box.high[0], starts);
            for (long m = low; m < high; ++m) o[2 * m + shift] += flux(m);
          }
        }
      }
    }
  }
}

SANCTUARY_CLONES void prolong_to_black(const LevelArrays& level, const Interpolation& weights,
                                       const BoxArray<float>& values, const IndexBox& box, float* scratch) {
  const IndexBox& have = values.box;
  for (long k = box.low[2]; k < box.high[2]; ++k) {
    const long kc = weights.coarse[2] ? k >> 1 : k;
    const float wz = weights.far[2][k + 1];
    const long kf = wz == 0 ? kc : ((k & 1) ? kc + 1 : kc - 1);
    for (long j = box.low[1]; j < box.high[1]; ++j) {
      const long jc = weights.coarse[1] ? j >> 1 : j;
      const float wy = weights.far[1][j + 1];
      const long jf = wy == 0 ? jc : ((j & 1) ? jc + 1 : jc - 1);
      const float w0 = (1 - wy) * (1 - wz), w1 = wy * (1 - wz), w2 = (1 - wy) * wz, w3 = wy * wz;
      const long low = have.low[0], width = have.size(0);
      const float* __restrict__ a = values.at(low, jc, kc);
      const float* __restrict__ b = values.at(low, jf, kc);
      const float* __restrict__ c = values.at(low, jc, kf);
      const float* __restrict__ d = values.at(low, jf, kf);
      float* __restrict__ line = scratch;
      for (long i = 0; i < width; ++i) line[i] = (w0 * a[i] + w1 * b[i]) + (w2 * c[i] + w3 * d[i]);
      const float* t = scratch - low;
      const bool starts = level.at.first(j, k) == 1;
      float* __restrict__ u = level.u[1] + level.at.at(j, k);
      const long from = position(box.low[0], starts), to = position(box.high[0], starts);
      if (!weights.coarse[0]) {
        const long shift = starts ? 0 : 1;
        for (long m = from; m < to; ++m) u[m] += t[2 * m + shift];
      } else if (starts) {
        const float* __restrict__ far = weights.far_even;
        for (long m = from; m < to; ++m) u[m] += t[m] + far[m] * (t[m - 1] - t[m]);
      } else {
        const float* __restrict__ far = weights.far_odd + 1;
        for (long m = from; m < to; ++m) u[m] += t[m] + far[m] * (t[m + 1] - t[m]);
      }
    }
  }
}

SANCTUARY_CLONES void split(const ColourLayout& at, const BoxArray<const float>& values, const IndexBox& box,
                            float* const (&out)[2]) {
  for (long k = box.low[2]; k < box.high[2]; ++k) {
    for (long j = box.low[1]; j < box.high[1]; ++j) {
      const int first = at.first(j, k);
      const long q = at.at(j, k);
      float* __restrict__ even = out[first] + q;
      float* __restrict__ odd = out[1 - first] + q;
      const float* __restrict__ v = values.at(values.box.low[0], j, k) - values.box.low[0];
      for (long m = (box.low[0] + 1) >> 1; m < (box.high[0] + 1) >> 1; ++m) even[m] = v[2 * m];
      for (long m = box.low[0] >> 1; m < box.high[0] >> 1; ++m) odd[m] = v[2 * m + 1];
    }
  }
}

SANCTUARY_CLONES void join(const ColourLayout& at, float* const (&in)[2], const IndexBox& box,
                           const BoxArray<float>& values) {
  for (long k = box.low[2]; k < box.high[2]; ++k) {
    for (long j = box.low[1]; j < box.high[1]; ++j) {
      const int first = at.first(j, k);
      const long q = at.at(j, k);
      const float* __restrict__ even = in[first] + q;
      const float* __restrict__ odd = in[1 - first] + q;
      float* __restrict__ v = values.at(values.box.low[0], j, k) - values.box.low[0];
      const long pairs = box.high[0] >> 1;
      if (box.low[0] & 1) v[box.low[0]] = odd[box.low[0] >> 1];
      for (long m = (box.low[0] + 1) >> 1; m < pairs; ++m) {
        v[2 * m] = even[m];
        v[2 * m + 1] = odd[m];
      }
      if (box.high[0] & 1) v[box.high[0] - 1] = even[pairs];
    }
  }
}

SANCTUARY_CLONES void apply(const OperatorArrays& op, const Padded& in, double* out, const IndexBox& box,
                            double* in_out, double* out_out) {
  const auto& n = op.size;
  const long x_row = n[0] + 1;
  const long per_row = units(n[0]);
  const bool symmetric = op.from_upper[0] == nullptr;
  for (long k = box.low[2]; k < box.high[2]; ++k) {
    for (long j = box.low[1]; j < box.high[1]; ++j) {
      const double* __restrict__ c = in.at(j, k);
      const double* __restrict__ s = c - in.row;
      const double* __restrict__ nn = c + in.row;
      const double* __restrict__ b = c - in.plane;
      const double* __restrict__ t = c + in.plane;
      const long cell = (k * n[1] + j) * n[0];
      const long x_face = (k * n[1] + j) * x_row;
      const long y_face = (k * (n[1] + 1) + j) * n[0];
      const long z_face = cell;
      const double* __restrict__ d = op.diagonal + cell;
      const double* __restrict__ xl = op.from_lower[0] + x_face;
      const double* __restrict__ sl = op.from_lower[1] + y_face;
      const double* __restrict__ nl = sl + n[0];
      const double* __restrict__ bl = op.from_lower[2] + z_face;
      const double* __restrict__ tl = bl + n[1] * n[0];
      double* __restrict__ o = out + cell;
      const long low = box.low[0], high = box.high[0];
      if (symmetric) {
#pragma GCC ivdep
        for (long i = low; i < high; ++i) {
          const double v = c[i];
          o[i] = d[i] * v +
                 (((xl[i] * (v - c[i - 1]) + xl[i + 1] * (v - c[i + 1])) + (sl[i] * (v - s[i]) + nl[i] * (v - nn[i]))) +
                  (bl[i] * (v - b[i]) + tl[i] * (v - t[i])));
        }
      } else {
        const double* __restrict__ xu = op.from_upper[0] + x_face;
        const double* __restrict__ su = op.from_upper[1] + y_face;
        const double* __restrict__ nu = su + n[0];
        const double* __restrict__ bu = op.from_upper[2] + z_face;
        const double* __restrict__ tu = bu + n[1] * n[0];
#pragma GCC ivdep
        for (long i = low; i < high; ++i) {
          const double v = c[i];
          o[i] = d[i] * v + ((((xu[i] * v - xl[i] * c[i - 1]) + (xl[i + 1] * v - xu[i + 1] * c[i + 1])) +
                              ((su[i] * v - sl[i] * s[i]) + (nl[i] * v - nu[i] * nn[i]))) +
                             ((bu[i] * v - bl[i] * b[i]) + (tl[i] * v - tu[i] * t[i])));
        }
      }
      if (!in_out && !out_out) continue;
      const long partial = (k * n[1] + j) * per_row;
      for (long piece = 0; piece < per_row; ++piece) {
        const long from = piece * unit, to = std::min(n[0], from + unit);
        if (in_out) in_out[partial + piece] = dot_range(c, o, from, to);
        if (out_out) out_out[partial + piece] = dot_range(o, o, from, to);
      }
    }
  }
}

SANCTUARY_CLONES void direction(const ColourLayout& at, float* const (&u)[2], double scale, double beta,
                                const Padded& p, const IndexBox& box) {
  for (long k = box.low[2]; k < box.high[2]; ++k) {
    for (long j = box.low[1]; j < box.high[1]; ++j) {
      const int first = at.first(j, k);
      const long q = at.at(j, k);
      const float* __restrict__ even = u[first] + q;
      const float* __restrict__ odd = u[1 - first] + q;
      double* __restrict__ v = p.at(j, k);
      if (beta == 0) {  // what was there may be anything
        for (long m = (box.low[0] + 1) >> 1; m < (box.high[0] + 1) >> 1; ++m) {
          v[2 * m] = scale * static_cast<double>(even[m]);
        }
        for (long m = box.low[0] >> 1; m < box.high[0] >> 1; ++m) v[2 * m + 1] = scale * static_cast<double>(odd[m]);
        continue;
      }
      const long pairs = box.high[0] >> 1;
      if (box.low[0] & 1) {
        v[box.low[0]] = scale * static_cast<double>(odd[box.low[0] >> 1]) + beta * v[box.low[0]];
      }
#pragma GCC ivdep
      for (long m = (box.low[0] + 1) >> 1; m < pairs; ++m) {
        v[2 * m] = scale * static_cast<double>(even[m]) + beta * v[2 * m];
        v[2 * m + 1] = scale * static_cast<double>(odd[m]) + beta * v[2 * m + 1];
      }
      if (box.high[0] & 1) {
        v[box.high[0] - 1] = scale * static_cast<double>(even[pairs]) + beta * v[box.high[0] - 1];
      }
    }
  }
}

SANCTUARY_CLONES void products(const ColourLayout& at, float* const (&u)[2], double scale, const double* r,
                               const double* w, const IndexBox& box, double* rz, double* wz) {
  const auto& n = at.size;
  const long per_row = units(n[0]);
  for (long k = box.low[2]; k < box.high[2]; ++k) {
    for (long j = box.low[1]; j < box.high[1]; ++j) {
      const int first = at.first(j, k);
      const long q = at.at(j, k);
      const float* even = u[first] + q;
      const float* odd = u[1 - first] + q;
      const long cell = (k * n[1] + j) * n[0];
      const long partial = (k * n[1] + j) * per_row;
      for (long piece = 0; piece < per_row; ++piece) {
        const long from = piece * unit, to = std::min(n[0], from + unit);
        double sum_r[16] = {}, sum_w[16] = {};
        long i = from;
        for (; i + 16 <= to; i += 16) {
          double z[16];
          const float* e = even + i / 2;
          const float* o = odd + i / 2;
          for (int l = 0; l < 8; ++l) {
            z[2 * l] = static_cast<double>(e[l]);
            z[2 * l + 1] = static_cast<double>(o[l]);
          }
          const double* x = r + cell + i;
          const double* y = w + cell + i;
          for (int l = 0; l < 16; ++l) {
            sum_r[l] += x[l] * z[l];
            sum_w[l] += y[l] * z[l];
          }
        }
        double a = 0, b = 0;
        for (int half = 8; half > 0; half /= 2) {
          for (int l = 0; l < half; ++l) {
            sum_r[l] += sum_r[l + half];
            sum_w[l] += sum_w[l + half];
          }
        }
        a = sum_r[0];
        b = sum_w[0];
        for (; i < to; ++i) {
          const double z = static_cast<double>((i & 1) ? odd[i / 2] : even[i / 2]);
          a += r[cell + i] * z;
          b += w[cell + i] * z;
        }
        rz[partial + piece] = scale * a;
        wz[partial + piece] = scale * b;
      }
    }
  }
}

SANCTUARY_CLONES void update(const ColourLayout& at, double alpha, const Padded& p, const double* w, double* x,
                             double* r, double f_scale, float* const (&f)[2], const IndexBox& box, double* rr) {
  const auto& n = at.size;
  const long per_row = units(n[0]);
  for (long k = box.low[2]; k < box.high[2]; ++k) {
    for (long j = box.low[1]; j < box.high[1]; ++j) {
      const int first = at.first(j, k);
      const long q = at.at(j, k);
      float* __restrict__ even = f[first] + q;
      float* __restrict__ odd = f[1 - first] + q;
      const long cell = (k * n[1] + j) * n[0];
      const double* __restrict__ d = p.at(j, k);
      const double* __restrict__ y = w + cell;
      double* __restrict__ u = x + cell;
      double* __restrict__ v = r + cell;
      const long partial = (k * n[1] + j) * per_row;
      for (long piece = 0; piece < per_row; ++piece) {
        const long from = piece * unit, to = std::min(n[0], from + unit);
        vector8 sum{};
        long i = from;
        for (; i + 8 <= to; i += 8) {
          vector8 a, b, c, e;
          std::memcpy(&a, u + i, sizeof a);
          std::memcpy(&b, d + i, sizeof b);
          std::memcpy(&c, v + i, sizeof c);
          std::memcpy(&e, y + i, sizeof e);
          a += alpha * b;
          c -= alpha * e;
          sum += c * c;
          std::memcpy(u + i, &a, sizeof a);
          std::memcpy(v + i, &c, sizeof c);
        }
        double total = sum8(sum);
        for (; i < to; ++i) {
          u[i] += alpha * d[i];
          v[i] -= alpha * y[i];
          total += v[i] * v[i];
        }
        rr[partial + piece] = total;
      }
      split_row(v, n[0], f_scale, even, odd);
    }
  }
}

SANCTUARY_CLONES void residual(const std::array<long, 3>& size, const double* b, double* r, double* rr, double* bb) {
  const long per_row = units(size[0]);
  for (long row = 0; row < size[1] * size[2]; ++row) {
    const double* __restrict__ y = b + row * size[0];
    double* __restrict__ v = r + row * size[0];
    for (long piece = 0; piece < per_row; ++piece) {
      const long from = piece * unit, to = std::min(size[0], from + unit);
      vector8 sum_r{}, sum_b{};
      long i = from;
      for (; i + 8 <= to; i += 8) {
        vector8 a, c;
        std::memcpy(&a, y + i, sizeof a);
        std::memcpy(&c, v + i, sizeof c);
        c = a - c;
        sum_r += c * c;
        sum_b += a * a;
        std::memcpy(v + i, &c, sizeof c);
      }
      double total_r = sum8(sum_r), total_b = sum8(sum_b);
      for (; i < to; ++i) {
        v[i] = y[i] - v[i];
        total_r += v[i] * v[i];
        total_b += y[i] * y[i];
      }
      rr[row * per_row + piece] = total_r;
      bb[row * per_row + piece] = total_b;
    }
  }
}

SANCTUARY_CLONES void load(const ColourLayout& at, const double* r, double scale, float* const (&f)[2]) {
  const auto& n = at.size;
  for (long k = 0; k < n[2]; ++k) {
    for (long j = 0; j < n[1]; ++j) {
      const int first = at.first(j, k);
      const long q = at.at(j, k);
      float* __restrict__ even = f[first] + q;
      float* __restrict__ odd = f[1 - first] + q;
      const double* __restrict__ v = r + (k * n[1] + j) * n[0];
      split_row(v, n[0], scale, even, odd);
    }
  }
}

SANCTUARY_CLONES void store(const ColourLayout& at, float* const (&u)[2], double scale, double* r) {
  const auto& n = at.size;
  for (long k = 0; k < n[2]; ++k) {
    for (long j = 0; j < n[1]; ++j) {
      const int first = at.first(j, k);
      const long q = at.at(j, k);
      const float* __restrict__ even = u[first] + q;
      const float* __restrict__ odd = u[1 - first] + q;
      double* __restrict__ v = r + (k * n[1] + j) * n[0];
      const long pairs = n[0] / 2;
      for (long m = 0; m < pairs; ++m) {
        v[2 * m] = static_cast<double>(even[m]) * scale;
        v[2 * m + 1] = static_cast<double>(odd[m]) * scale;
      }
      if (n[0] & 1) v[n[0] - 1] = static_cast<double>(even[pairs]) * scale;
    }
  }
}

SANCTUARY_CLONES void dot(const std::array<long, 3>& size, const double* a, const double* b, double* ab) {
  const long per_row = units(size[0]);
  for (long row = 0; row < size[1] * size[2]; ++row) {
    for (long piece = 0; piece < per_row; ++piece) {
      const long from = piece * unit, to = std::min(size[0], from + unit);
      ab[row * per_row + piece] = dot_range(a + row * size[0], b + row * size[0], from, to);
    }
  }
}

SANCTUARY_CLONES void add(std::size_t count, double alpha, const double* x, double* y) {
#pragma GCC ivdep
  for (std::size_t i = 0; i < count; ++i) y[i] += alpha * x[i];
}

namespace {

/// Faces around a row of cells of a view.
struct RowFaces {
  const double *own, *west, *west_up, *south, *south_up, *north, *north_up, *below, *below_up, *above, *above_up;
  RowFaces(const CoefficientView& c, long j, long k)
      : own(c.diagonal + c.cell(0, j, k)),
        west(c.lower[0] + c.face(0, 0, j, k)),
        west_up(c.upper[0] + c.face(0, 0, j, k)),
        south(c.lower[1] + c.face(1, 0, j, k)),
        south_up(c.upper[1] + c.face(1, 0, j, k)),
        north(c.lower[1] + c.face(1, 0, j + 1, k)),
        north_up(c.upper[1] + c.face(1, 0, j + 1, k)),
        below(c.lower[2] + c.face(2, 0, j, k)),
        below_up(c.upper[2] + c.face(2, 0, j, k)),
        above(c.lower[2] + c.face(2, 0, j, k + 1)),
        above_up(c.upper[2] + c.face(2, 0, j, k + 1)) {}
};

}  // namespace

SANCTUARY_CLONES Survey survey(const CoefficientView& c, const std::array<bool, 6>& wall, double share) {
  const auto& n = c.size;
  Survey result;
  long above_share = 0, empty = 0;
  double largest[8] = {}, own_sum[8] = {}, full_sum[8] = {};
  for (long k = 0; k < n[2]; ++k) {
    for (long j = 0; j < n[1]; ++j) {
      const RowFaces f(c, j, k);
      const double sy = j == 0 && wall[2] ? 0 : 1, ny = j + 1 == n[1] && wall[3] ? 0 : 1;
      const double bz = k == 0 && wall[4] ? 0 : 1, az = k + 1 == n[2] && wall[5] ? 0 : 1;
      const auto one = [&](long i, double wx, double ex, int lane) __attribute__((always_inline)) {
        const double full =
            f.own[i] + ((f.west_up[i] + f.west[i + 1]) + (f.south_up[i] + f.north[i])) + (f.below_up[i] + f.above[i]);
        const double near = ((wx * f.west[i] + ex * f.west_up[i + 1]) + (sy * f.south[i] + ny * f.north_up[i])) +
                            (bz * f.below[i] + az * f.above_up[i]);
        above_share += near > share * full ? 1 : 0;
        empty += full == 0 ? 1 : 0;
        largest[lane] = full > largest[lane] ? full : largest[lane];
        own_sum[lane] += std::abs(f.own[i]);
        full_sum[lane] += std::abs(full);
      };
      one(0, wall[0] ? 0 : 1, n[0] == 1 && wall[1] ? 0 : 1, 0);
      long i = 1;
      for (; i + 8 < n[0]; i += 8) {
        for (int l = 0; l < 8; ++l) one(i + l, 1, 1, l);
      }
      for (; i + 1 < n[0]; ++i) one(i, 1, 1, 0);
      if (n[0] > 1) one(n[0] - 1, 1, wall[1] ? 0 : 1, 0);
    }
  }
  for (int l = 0; l < 8; ++l) {
    result.largest = std::max(result.largest, largest[l]);
    result.own += own_sum[l];
    result.full += full_sum[l];
  }
  result.empty = static_cast<double>(empty);
  result.dominated = above_share == 0;
  return result;
}

SANCTUARY_CLONES void fill(const CoefficientView& c, const std::array<bool, 6>& wall, double scale,
                           const LevelArrays& level) {
  const auto& n = c.size;
  const auto& map = level.at;
  const double inverse = 1 / scale;
  for (long k = 0; k < n[2]; ++k) {
    for (long j = 0; j < n[1]; ++j) {
      const RowFaces f(c, j, k);
      const long q = map.at(j, k);
      const double sy = j == 0 && wall[2] ? 0 : inverse, ny = j + 1 == n[1] && wall[3] ? 0 : inverse;
      const double bz = k == 0 && wall[4] ? 0 : inverse, az = k + 1 == n[2] && wall[5] ? 0 : inverse;
      for (int colour = 0; colour < 2; ++colour) {
        const bool starts = map.first(j, k) == colour;
        const long shift = starts ? 0 : 1, count = position(n[0], starts);
        float* __restrict__ d = level.inverse_diagonal[colour] + q;
        for (long m = 0; m < count; ++m) {
          const long i = 2 * m + shift;
          const double full =
              f.own[i] + ((f.west_up[i] + f.west[i + 1]) + (f.south_up[i] + f.north[i])) + (f.below_up[i] + f.above[i]);
          d[m] = full > 0 ? static_cast<float>(scale / full) : 0.0F;
        }
        float* const* own = level.coefficient[colour];
        if (!own[0]) continue;
        const auto take = [&](float* to, const double* from, double factor, long offset)
            __attribute__((always_inline)) {
          float* __restrict__ o = to + q;
          const double* __restrict__ v = from + shift + offset;
          for (long m = 0; m < count; ++m) o[m] = static_cast<float>(v[2 * m] * factor);
        };
        take(own[0], f.west, inverse, 0);
        take(own[1], f.west_up, inverse, 1);
        take(own[2], f.south, sy, 0);
        take(own[3], f.north_up, ny, 0);
        take(own[4], f.below, bz, 0);
        take(own[5], f.above_up, az, 0);
        if (starts && wall[0] && count > 0) own[0][q] = 0;
        if (wall[1] && map.first(j, k) == ((n[0] - 1) & 1 ? 1 - colour : colour)) own[1][q + (n[0] - 1) / 2] = 0;
      }
      if (level.coefficient[1][0]) continue;
      // Black cells at the block's sides read their coefficients from red cells beyond it.
      float* const* red = level.coefficient[0];
      const int first = map.first(j, k);
      if (first == 1 && !wall[0]) red[1][q - 1] = static_cast<float>(f.west[0] * inverse);
      if (((first + n[0] - 1) & 1) == 1 && !wall[1]) {
        red[0][q + (n[0] >> 1)] = static_cast<float>(f.west[n[0]] * inverse);
      }
      const bool starts = first == 1;
      const long shift = starts ? 0 : 1, count = position(n[0], starts);
      for (long m = 0; m < count; ++m) {
        const long i = 2 * m + shift;
        if (j == 0) red[3][q - map.row + m] = static_cast<float>(f.south[i] * sy);
        if (j + 1 == n[1]) red[2][q + map.row + m] = static_cast<float>(f.north[i] * ny);
        if (k == 0) red[5][q - map.plane + m] = static_cast<float>(f.below[i] * bz);
        if (k + 1 == n[2]) red[4][q + map.plane + m] = static_cast<float>(f.above[i] * az);
      }
    }
  }
}

SANCTUARY_CLONES void pair_sum(const double* values, const std::array<long, 3>& size, const bool (&coarse)[3], int pick,
                               const std::array<long, 3>& out_size, double* out) {
  // Along an axis: first child, and how many there are.
  const auto first = [&](int axis, long c) {
    return axis == pick && coarse[axis] ? std::min(2 * c, size[static_cast<std::size_t>(axis)] - 1)
                                        : (coarse[axis] ? 2 * c : c);
  };
  const auto last = [&](int axis, long c) {
    const long one = first(axis, c) + 1;
    return axis == pick || !coarse[axis] ? one : std::min(one + 1, size[static_cast<std::size_t>(axis)]);
  };
  for (long k = 0; k < out_size[2]; ++k) {
    for (long j = 0; j < out_size[1]; ++j) {
      double* __restrict__ o = out + (k * out_size[1] + j) * out_size[0];
      for (long i = 0; i < out_size[0]; ++i) o[i] = 0;
      for (long z = first(2, k); z < last(2, k); ++z) {
        for (long y = first(1, j); y < last(1, j); ++y) {
          const double* __restrict__ v = values + (z * size[1] + y) * size[0];
          if (!coarse[0]) {
            for (long i = 0; i < out_size[0]; ++i) o[i] += v[i];
          } else if (pick == 0) {
            const long whole = size[0] / 2;  // entries 2 i below the last
            for (long i = 0; i < std::min(whole, out_size[0]); ++i) o[i] += v[2 * i];
            for (long i = whole; i < out_size[0]; ++i) o[i] += v[size[0] - 1];
          } else {
            const long whole = size[0] / 2;
            for (long i = 0; i < whole; ++i) o[i] += v[2 * i] + v[2 * i + 1];
            if (size[0] & 1) o[whole] += v[size[0] - 1];
          }
        }
      }
    }
  }
}

}  // namespace sanctuary::kernels

#pragma once

namespace sanctuary {

/// Constants of the time step: singly diagonally implicit Runge-Kutta of two stages (Alexander 1977, SIAM J Numer Anal
/// 14:1006), second order, L-stable, stiffly accurate. Stage times are t + gamma dt and t + dt; integrals over the step
/// have the weights 1 - gamma and gamma.
namespace sdirk {
inline constexpr double gamma = 0.29289321881345254;  // 1 - 1/sqrt(2)
/// Known part of the second stage: y* = y0 + carry (y1 - y0).
inline constexpr double carry = (1 - gamma) / gamma;
/// Error estimate dt (e0 k0 + e1 k1 + e2 k2) against the embedded weights that integrate cubics, with k0 the last slope
/// of the step before; third order in dt.
inline constexpr double b1 = 1 / (6 * gamma * (1 - gamma));
inline constexpr double b2 = 0.5 - gamma * b1;
inline constexpr double e0 = 1 - b1 - b2;
inline constexpr double e1 = b1 - (1 - gamma);
inline constexpr double e2 = b2 - gamma;
}  // namespace sdirk

}  // namespace sanctuary

// IEEE 754 half precision, as models computed in float16 take and give it. Pure.
#pragma once

#include <cstdint>
#include <span>

namespace ca4::producer {

// Rounded to nearest, halves to even; beyond 65,504 infinity. Both spans have one length.
void narrow(std::span<const float> from, std::span<uint16_t> to);
void widen(std::span<const uint16_t> from, std::span<float> to);

}  // namespace ca4::producer

/* Square roots of vectors without the divider, correctly rounded: the same bits as the square root instruction.
 *
 * A processor has one divider for many multiply-adders, and it takes 16 cycles for the roots of eight doubles (Zen 4);
 * ten multiply-adds take ten. Where many roots are due, half of them by either way takes half the time.
 *
 * An estimate of 1 / sqrt(x) with a relative error of 2^-14 gives g, near sqrt(x), and h, near 1 / (2 sqrt(x)); one step
 * (of third order in float64, of first in float32) makes both right within about an ulp. Then d = x - g g is exact, and
 * g + h d is rounded once. That is the root, correctly rounded, unless the root is within 2^-53 ulp or so of the middle
 * of two neighbors, m: then x = m m + k ulp(m)^2 / 4 with |k| < 9, which leaves a few x, and these are tested, as are
 * all values of float32 (test_distance_roots.py). d is exact unless it is subnormal; so roots below ROOT_LEAST are left
 * to the divider, as are 0, infinity and NaN, of which g becomes NaN. A whole vector is, for that is rare.
 */
#ifndef FASTCLUSTER_EXT_ROOTS_H
#define FASTCLUSTER_EXT_ROOTS_H

#include "simd.h"

#if defined(__AVX512F__)
FC_INLINE __m512 root512_f32(__m512 x) {
    const __m512 half = _mm512_set1_ps(0.5f), least = _mm512_set1_ps(0x1p-48f), y = _mm512_rsqrt14_ps(x);
    /* y / 2 by its exponent, on an adder of integers. */
    __m512 h = _mm512_castsi512_ps(_mm512_sub_epi32(_mm512_castps_si512(y), _mm512_set1_epi32(1 << 23)));
    __m512 g = _mm512_mul_ps(x, y);
    const __m512 r = _mm512_fnmadd_ps(g, h, half);
    g = _mm512_fmadd_ps(g, r, g);
    h = _mm512_fmadd_ps(h, r, h);
    g = _mm512_fmadd_ps(h, _mm512_fnmadd_ps(g, g, x), g);
    if (__builtin_expect(_mm512_cmp_ps_mask(g, least, _CMP_GE_OQ) != 0xffff, 0)) return _mm512_sqrt_ps(x);
    return g;
}

FC_INLINE __m512d root512_f64(__m512d x) {
    const __m512d one = _mm512_set1_pd(1.0), least = _mm512_set1_pd(0x1p-480), y = _mm512_rsqrt14_pd(x);
    __m512d h = _mm512_castsi512_pd(_mm512_sub_epi64(_mm512_castpd_si512(y), _mm512_set1_epi64(1ll << 52)));
    __m512d g = _mm512_mul_pd(x, y);
    /* 1 / sqrt(1 - r) = 1 + t, |r| < 2^-13: the series, whose next term, 35/128 r^4, is nearly 35/128 2^-26 r^2. */
    const __m512d r = _mm512_fnmadd_pd(g, y, one);
    const __m512d q = _mm512_fmadd_pd(r, _mm512_set1_pd(0.3125), _mm512_set1_pd(0.375 + 0.2734375 * 0x1p-26));
    const __m512d t = _mm512_mul_pd(r, _mm512_fmadd_pd(r, q, _mm512_set1_pd(0.5)));
    g = _mm512_fmadd_pd(g, t, g);
    h = _mm512_fmadd_pd(h, t, h);
    g = _mm512_fmadd_pd(h, _mm512_fnmadd_pd(g, g, x), g);
    if (__builtin_expect(_mm512_cmp_pd_mask(g, least, _CMP_GE_OQ) != 0xff, 0)) return _mm512_sqrt_pd(x);
    return g;
}
#endif

#endif

/* One vector type of float64 lanes: the counterpart of simd.h where single precision cannot decide.
 *
 * There is no fused multiply-add here on purpose: every operation rounds as the scalar one does, so that all builds
 * compute the same bits.
 */
#ifndef FASTCLUSTER_EXT_SIMD_DOUBLE_H
#define FASTCLUSTER_EXT_SIMD_DOUBLE_H

#include <stddef.h>
#include "simd.h"

#if defined(__AVX512F__)
#define VD_LANES 8
typedef __m512d vd;
FC_INLINE vd vd_set1(double a) { return _mm512_set1_pd(a); }
FC_INLINE vd vd_load(const double *p) { return _mm512_loadu_pd(p); }
FC_INLINE void vd_store(double *p, vd a) { _mm512_storeu_pd(p, a); }
FC_INLINE vd vd_add(vd a, vd b) { return _mm512_add_pd(a, b); }
FC_INLINE vd vd_sub(vd a, vd b) { return _mm512_sub_pd(a, b); }
FC_INLINE vd vd_mul(vd a, vd b) { return _mm512_mul_pd(a, b); }
FC_INLINE vd vd_min(vd a, vd b) { return _mm512_min_pd(a, b); }
FC_INLINE vd vd_max(vd a, vd b) { return _mm512_max_pd(a, b); }
FC_INLINE vd vd_sqrt(vd a) { return _mm512_sqrt_pd(a); }
/* A bit for every lane where a <= b. */
FC_INLINE uint32_t vd_at_most(vd a, vd b) { return (uint32_t)_mm512_cmp_pd_mask(a, b, _CMP_LE_OQ); }
/* A bit for every lane where a < b. */
FC_INLINE uint32_t vd_less(vd a, vd b) { return (uint32_t)_mm512_cmp_pd_mask(a, b, _CMP_LT_OQ); }
/* x where a < b, y elsewhere. */
FC_INLINE vd vd_if_less(vd a, vd b, vd x, vd y) {
    return _mm512_mask_blend_pd(_mm512_cmp_pd_mask(a, b, _CMP_LT_OQ), y, x);
}
/* x where a == b, y elsewhere. */
FC_INLINE vd vd_if_equal(vd a, vd b, vd x, vd y) {
    return _mm512_mask_blend_pd(_mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ), y, x);
}
/* Bitwise. */
FC_INLINE vd vd_and(vd a, vd b) {
    return _mm512_castsi512_pd(_mm512_and_si512(_mm512_castpd_si512(a), _mm512_castpd_si512(b)));
}
FC_INLINE vd vd_or(vd a, vd b) {
    return _mm512_castsi512_pd(_mm512_or_si512(_mm512_castpd_si512(a), _mm512_castpd_si512(b)));
}
FC_INLINE vd vd_load_f32(const float *p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
FC_INLINE vd vd_load_i32(const int32_t *p) { return _mm512_cvtepi32_pd(_mm256_loadu_si256((const __m256i *)p)); }
/* The lanes of `a` where labels[lane] is `label`, 0 elsewhere. */
FC_INLINE vd vd_where_label(const int32_t *labels, int32_t label, vd a) {
    const __m512i wide = _mm512_cvtepi32_epi64(_mm256_loadu_si256((const __m256i *)labels));
    return _mm512_maskz_mov_pd(_mm512_cmpeq_epi64_mask(wide, _mm512_set1_epi64(label)), a);
}
/* The same added to `sum`. */
FC_INLINE vd vd_add_where_label(vd sum, const int32_t *labels, int32_t label, vd a) {
    const __m512i wide = _mm512_cvtepi32_epi64(_mm256_loadu_si256((const __m256i *)labels));
    return _mm512_mask_add_pd(sum, _mm512_cmpeq_epi64_mask(wide, _mm512_set1_epi64(label)), sum, a);
}

/* table[index] lane by lane, of a table of `size` values (memory of whole vectors). */
FC_INLINE vd vd_lookup(const double *table, ptrdiff_t size, const int32_t *index) {
    const __m256i at = _mm256_loadu_si256((const __m256i *)index);
    if (size > 16) return _mm512_i32gather_pd(at, table, 8);
    const __m512i wide = _mm512_cvtepi32_epi64(at);
    if (size <= 8) return _mm512_permutexvar_pd(wide, vd_load(table));
    return _mm512_permutex2var_pd(vd_load(table), wide, vd_load(table + 8));
}

/* As vf_store_bits. */
FC_INLINE int vd_store_bits(double *out, vd value, const uint8_t *bits, ptrdiff_t first) {
    vd_store(out, _mm512_maskz_compress_pd(bits[first / 8], value));
    return __builtin_popcount(bits[first / 8]);
}

#elif defined(__AVX2__) && defined(__FMA__)
#define VD_LANES 4
typedef __m256d vd;
FC_INLINE vd vd_set1(double a) { return _mm256_set1_pd(a); }
FC_INLINE vd vd_load(const double *p) { return _mm256_loadu_pd(p); }
FC_INLINE void vd_store(double *p, vd a) { _mm256_storeu_pd(p, a); }
FC_INLINE vd vd_add(vd a, vd b) { return _mm256_add_pd(a, b); }
FC_INLINE vd vd_sub(vd a, vd b) { return _mm256_sub_pd(a, b); }
FC_INLINE vd vd_mul(vd a, vd b) { return _mm256_mul_pd(a, b); }
FC_INLINE vd vd_min(vd a, vd b) { return _mm256_min_pd(a, b); }
FC_INLINE vd vd_max(vd a, vd b) { return _mm256_max_pd(a, b); }
FC_INLINE vd vd_sqrt(vd a) { return _mm256_sqrt_pd(a); }
FC_INLINE uint32_t vd_at_most(vd a, vd b) { return (uint32_t)_mm256_movemask_pd(_mm256_cmp_pd(a, b, _CMP_LE_OQ)); }
FC_INLINE uint32_t vd_less(vd a, vd b) { return (uint32_t)_mm256_movemask_pd(_mm256_cmp_pd(a, b, _CMP_LT_OQ)); }
FC_INLINE vd vd_if_less(vd a, vd b, vd x, vd y) { return _mm256_blendv_pd(y, x, _mm256_cmp_pd(a, b, _CMP_LT_OQ)); }
FC_INLINE vd vd_if_equal(vd a, vd b, vd x, vd y) { return _mm256_blendv_pd(y, x, _mm256_cmp_pd(a, b, _CMP_EQ_OQ)); }
FC_INLINE vd vd_and(vd a, vd b) { return _mm256_and_pd(a, b); }
FC_INLINE vd vd_or(vd a, vd b) { return _mm256_or_pd(a, b); }
FC_INLINE vd vd_load_f32(const float *p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
FC_INLINE vd vd_load_i32(const int32_t *p) { return _mm256_cvtepi32_pd(_mm_loadu_si128((const __m128i *)p)); }
FC_INLINE vd vd_where_label(const int32_t *labels, int32_t label, vd a) {
    const __m128i same = _mm_cmpeq_epi32(_mm_loadu_si128((const __m128i *)labels), _mm_set1_epi32(label));
    return _mm256_and_pd(_mm256_castsi256_pd(_mm256_cvtepi32_epi64(same)), a);
}
FC_INLINE vd vd_lookup(const double *table, ptrdiff_t size, const int32_t *index) {
    (void)size;
    /* Four loads: a gather of four is slower. */
    return _mm256_setr_pd(table[index[0]], table[index[1]], table[index[2]], table[index[3]]);
}

#elif defined(__SSE4_1__)
#define VD_LANES 2
typedef __m128d vd;
FC_INLINE vd vd_set1(double a) { return _mm_set1_pd(a); }
FC_INLINE vd vd_load(const double *p) { return _mm_loadu_pd(p); }
FC_INLINE void vd_store(double *p, vd a) { _mm_storeu_pd(p, a); }
FC_INLINE vd vd_add(vd a, vd b) { return _mm_add_pd(a, b); }
FC_INLINE vd vd_sub(vd a, vd b) { return _mm_sub_pd(a, b); }
FC_INLINE vd vd_mul(vd a, vd b) { return _mm_mul_pd(a, b); }
FC_INLINE vd vd_min(vd a, vd b) { return _mm_min_pd(a, b); }
FC_INLINE vd vd_max(vd a, vd b) { return _mm_max_pd(a, b); }
FC_INLINE vd vd_sqrt(vd a) { return _mm_sqrt_pd(a); }
FC_INLINE uint32_t vd_at_most(vd a, vd b) { return (uint32_t)_mm_movemask_pd(_mm_cmple_pd(a, b)); }
FC_INLINE uint32_t vd_less(vd a, vd b) { return (uint32_t)_mm_movemask_pd(_mm_cmplt_pd(a, b)); }
FC_INLINE vd vd_if_less(vd a, vd b, vd x, vd y) { return _mm_blendv_pd(y, x, _mm_cmplt_pd(a, b)); }
FC_INLINE vd vd_if_equal(vd a, vd b, vd x, vd y) { return _mm_blendv_pd(y, x, _mm_cmpeq_pd(a, b)); }
FC_INLINE vd vd_and(vd a, vd b) { return _mm_and_pd(a, b); }
FC_INLINE vd vd_or(vd a, vd b) { return _mm_or_pd(a, b); }
FC_INLINE vd vd_load_f32(const float *p) { return _mm_cvtps_pd(_mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)p))); }
FC_INLINE vd vd_load_i32(const int32_t *p) { return _mm_cvtepi32_pd(_mm_loadl_epi64((const __m128i *)p)); }
FC_INLINE vd vd_where_label(const int32_t *labels, int32_t label, vd a) {
    const __m128i same = _mm_cmpeq_epi32(_mm_loadl_epi64((const __m128i *)labels), _mm_set1_epi32(label));
    return _mm_and_pd(_mm_castsi128_pd(_mm_cvtepi32_epi64(same)), a);
}
FC_INLINE vd vd_lookup(const double *table, ptrdiff_t size, const int32_t *index) {
    (void)size;
    return _mm_setr_pd(table[index[0]], table[index[1]]);
}

#elif defined(__aarch64__) && defined(__ARM_NEON)
#define VD_LANES 2
typedef float64x2_t vd;
FC_INLINE vd vd_set1(double a) { return vdupq_n_f64(a); }
FC_INLINE vd vd_load(const double *p) { return vld1q_f64(p); }
FC_INLINE void vd_store(double *p, vd a) { vst1q_f64(p, a); }
FC_INLINE vd vd_add(vd a, vd b) { return vaddq_f64(a, b); }
FC_INLINE vd vd_sub(vd a, vd b) { return vsubq_f64(a, b); }
FC_INLINE vd vd_mul(vd a, vd b) { return vmulq_f64(a, b); }
FC_INLINE vd vd_min(vd a, vd b) { return vminnmq_f64(a, b); }
FC_INLINE vd vd_max(vd a, vd b) { return vmaxq_f64(a, b); }
FC_INLINE vd vd_sqrt(vd a) { return vsqrtq_f64(a); }
FC_INLINE uint32_t vd_at_most(vd a, vd b) {
    const uint64x2_t m = vcleq_f64(a, b);
    return (uint32_t)((vgetq_lane_u64(m, 0) & 1) | (vgetq_lane_u64(m, 1) & 2));
}
FC_INLINE uint32_t vd_less(vd a, vd b) {
    const uint64x2_t m = vcltq_f64(a, b);
    return (uint32_t)((vgetq_lane_u64(m, 0) & 1) | (vgetq_lane_u64(m, 1) & 2));
}
FC_INLINE vd vd_if_less(vd a, vd b, vd x, vd y) { return vbslq_f64(vcltq_f64(a, b), x, y); }
FC_INLINE vd vd_if_equal(vd a, vd b, vd x, vd y) { return vbslq_f64(vceqq_f64(a, b), x, y); }
FC_INLINE vd vd_and(vd a, vd b) {
    return vreinterpretq_f64_u64(vandq_u64(vreinterpretq_u64_f64(a), vreinterpretq_u64_f64(b)));
}
FC_INLINE vd vd_or(vd a, vd b) {
    return vreinterpretq_f64_u64(vorrq_u64(vreinterpretq_u64_f64(a), vreinterpretq_u64_f64(b)));
}
FC_INLINE vd vd_load_f32(const float *p) { return vcvt_f64_f32(vld1_f32(p)); }
FC_INLINE vd vd_load_i32(const int32_t *p) { return vcvtq_f64_s64(vmovl_s32(vld1_s32(p))); }
FC_INLINE vd vd_where_label(const int32_t *labels, int32_t label, vd a) {
    const int64x2_t same = vmovl_s32(vreinterpret_s32_u32(vceq_s32(vld1_s32(labels), vdup_n_s32(label))));
    return vreinterpretq_f64_s64(vandq_s64(same, vreinterpretq_s64_f64(a)));
}
FC_INLINE vd vd_lookup(const double *table, ptrdiff_t size, const int32_t *index) {
    (void)size;
    const double values[2] = {table[index[0]], table[index[1]]};
    return vd_load(values);
}

#else
#include <math.h>
#include <string.h>
#define VD_LANES 1
typedef double vd;
FC_INLINE vd vd_set1(double a) { return a; }
FC_INLINE vd vd_load(const double *p) { return *p; }
FC_INLINE void vd_store(double *p, vd a) { *p = a; }
FC_INLINE vd vd_add(vd a, vd b) { return a + b; }
FC_INLINE vd vd_sub(vd a, vd b) { return a - b; }
FC_INLINE vd vd_mul(vd a, vd b) { return a * b; }
FC_INLINE vd vd_min(vd a, vd b) { return a < b ? a : b; }
FC_INLINE vd vd_max(vd a, vd b) { return a > b ? a : b; }
FC_INLINE vd vd_sqrt(vd a) { return sqrt(a); }
FC_INLINE uint32_t vd_at_most(vd a, vd b) { return a <= b; }
FC_INLINE uint32_t vd_less(vd a, vd b) { return a < b; }
FC_INLINE vd vd_if_less(vd a, vd b, vd x, vd y) { return a < b ? x : y; }
FC_INLINE vd vd_if_equal(vd a, vd b, vd x, vd y) { return a == b ? x : y; }
FC_INLINE vd vd_and(vd a, vd b) {
    int64_t bits, mask;
    memcpy(&bits, &a, sizeof bits);
    memcpy(&mask, &b, sizeof mask);
    bits &= mask;
    memcpy(&a, &bits, sizeof a);
    return a;
}
FC_INLINE vd vd_or(vd a, vd b) {
    int64_t bits, more;
    memcpy(&bits, &a, sizeof bits);
    memcpy(&more, &b, sizeof more);
    bits |= more;
    memcpy(&a, &bits, sizeof a);
    return a;
}
FC_INLINE vd vd_load_f32(const float *p) { return *p; }
FC_INLINE vd vd_load_i32(const int32_t *p) { return *p; }
FC_INLINE vd vd_where_label(const int32_t *labels, int32_t label, vd a) { return *labels == label ? a : 0.0; }
FC_INLINE vd vd_lookup(const double *table, ptrdiff_t size, const int32_t *index) { return (void)size, table[*index]; }
#endif

/* Write the values of every lane whose bit is set, in order. May write VD_LANES of them. */
FC_INLINE void vd_store_where(double *out, vd value, uint32_t bits) {
#if defined(__AVX512F__)
    vd_store(out, _mm512_maskz_compress_pd((__mmask8)bits, value));
#else
    double lanes[VD_LANES];
    vd_store(lanes, value);
    for (; bits; bits &= bits - 1) *out++ = lanes[__builtin_ctz(bits)];
#endif
}

#if !defined(__AVX512F__)
FC_INLINE vd vd_add_where_label(vd sum, const int32_t *labels, int32_t label, vd a) {
    return vd_add(sum, vd_where_label(labels, label, a));
}
#endif

/* Transpose VD_LANES vectors, as vf_transpose does. */
#if VD_LANES == 8
#define VD_ZIP_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define VD_ZIP_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#elif VD_LANES == 4
#define VD_ZIP_LOW 0, 4, 1, 5
#define VD_ZIP_HIGH 2, 6, 3, 7
#elif VD_LANES == 2
#define VD_ZIP_LOW 0, 2
#define VD_ZIP_HIGH 1, 3
#endif

FC_INLINE void vd_transpose(vd *block) {
#if VD_LANES > 1
    FC_TRANSPOSE(vd, block, VD_LANES, VD_ZIP_LOW, VD_ZIP_HIGH);
#else
    (void)block;
#endif
}

#endif

/* One vector type of float32 lanes and the few primitives the hot loops need.
 *
 * The width follows the instruction set a kernel is compiled for: 16 lanes with AVX-512, 8 with AVX2 + FMA, 4 with
 * SSE4.1 or NEON, and 1 (plain C) anywhere else. Kernels use the names below and never an intrinsic of their own.
 *
 * Fused multiply-add is used where the instruction set has it, so results of vf_fma differ in the last bit between
 * builds. Kernels therefore only use these vectors to *filter*: whatever vf_* cannot decide beyond its rounding error
 * is decided again in float64, without contraction, and so alike in every build.
 */
#ifndef FASTCLUSTER_EXT_SIMD_H
#define FASTCLUSTER_EXT_SIMD_H

#include <stddef.h>
#include <stdint.h>

#define FC_INLINE static inline __attribute__((always_inline))
#define FC_ALIGN 64
#define VF_LOOKUP_MOST 64 /* values a table of vf_lookup has room for */

#if defined(__AVX512F__)
#include <immintrin.h>
#define VF_LANES 16
#define VF_REGISTERS 32
typedef __m512 vf;
typedef __m512i vi;
typedef __mmask16 vm;
FC_INLINE vf vf_set1(float a) { return _mm512_set1_ps(a); }
FC_INLINE vi vi_set1(int32_t a) { return _mm512_set1_epi32(a); }
FC_INLINE vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
FC_INLINE void vf_store(float *p, vf a) { _mm512_storeu_ps(p, a); }
FC_INLINE void vi_store(int32_t *p, vi a) { _mm512_storeu_si512((void *)p, a); }
FC_INLINE vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
FC_INLINE vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
FC_INLINE vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
FC_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
FC_INLINE vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
FC_INLINE vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
FC_INLINE vf vf_sqrt(vf a) { return _mm512_sqrt_ps(a); }
FC_INLINE vf vf_abs(vf a) { return _mm512_abs_ps(a); }
FC_INLINE vm vf_less(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
FC_INLINE vi vi_select(vm m, vi a, vi b) { return _mm512_mask_mov_epi32(b, m, a); }
FC_INLINE vi vi_load(const int32_t *p) { return _mm512_loadu_si512((const void *)p); }
/* Bits of `a` where `keep` has ones, and those of `tag`, which has none there. */
FC_INLINE vf vf_tag(vf a, vi keep, vi tag) {
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(_mm512_castps_si512(a), keep, tag, 0xEA));
}
FC_INLINE uint32_t vm_bits(vm m) { return (uint32_t)m; }
/* The sum and the least of all lanes. */
FC_INLINE float vf_total(vf a) { return _mm512_reduce_add_ps(a); }
FC_INLINE float vf_least(vf a) { return _mm512_reduce_min_ps(a); }
/* table[index] lane by lane, of a table of `size` values, a power of two (memory of whole vectors). */
FC_INLINE vf vf_lookup(const float *table, int size, vi index) {
    if (size <= 16) return _mm512_permutexvar_ps(index, vf_load(table));
    const vf low = _mm512_permutex2var_ps(vf_load(table), index, vf_load(table + 16));
    if (size <= 32) return low;
    const vf high = _mm512_permutex2var_ps(vf_load(table + 32), index, vf_load(table + 48));
    return _mm512_mask_mov_ps(low, _mm512_test_epi32_mask(index, vi_set1(32)), high);
}
/* 2 a + 1 where m is set, 2 a elsewhere. */
FC_INLINE vi vi_twice_plus(vi a, vm m) {
    const vi twice = _mm512_add_epi32(a, a);
    return _mm512_mask_add_epi32(twice, m, twice, vi_set1(1));
}
#define VF_HAS_LOAD3
/* VF_LANES rows of three floats, by column. */
FC_INLINE void vf_load3(const float *rows, vf *x, vf *y, vf *z) {
    const vf a = vf_load(rows), b = vf_load(rows + 16), c = vf_load(rows + 32);
    const vi xy = _mm512_setr_epi32(0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 0, 0, 0, 0, 0);
    const vi yy = _mm512_setr_epi32(1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 0, 0, 0, 0, 0);
    const vi zy = _mm512_setr_epi32(2, 5, 8, 11, 14, 17, 20, 23, 26, 29, 0, 0, 0, 0, 0, 0);
    const vi xc = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 17, 20, 23, 26, 29);
    const vi yc = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 18, 21, 24, 27, 30);
    const vi zc = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 19, 22, 25, 28, 31);
    *x = _mm512_permutex2var_ps(_mm512_permutex2var_ps(a, xy, b), xc, c);
    *y = _mm512_permutex2var_ps(_mm512_permutex2var_ps(a, yy, b), yc, c);
    *z = _mm512_permutex2var_ps(_mm512_permutex2var_ps(a, zy, b), zc, c);
}

#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define VF_LANES 8
#define VF_REGISTERS 16
typedef __m256 vf;
typedef __m256i vi;
typedef __m256 vm;
FC_INLINE vf vf_set1(float a) { return _mm256_set1_ps(a); }
FC_INLINE vi vi_set1(int32_t a) { return _mm256_set1_epi32(a); }
FC_INLINE vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
FC_INLINE void vf_store(float *p, vf a) { _mm256_storeu_ps(p, a); }
FC_INLINE void vi_store(int32_t *p, vi a) { _mm256_storeu_si256((__m256i *)p, a); }
FC_INLINE vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
FC_INLINE vf vf_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
FC_INLINE vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
FC_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
FC_INLINE vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
FC_INLINE vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
FC_INLINE vf vf_sqrt(vf a) { return _mm256_sqrt_ps(a); }
FC_INLINE vf vf_abs(vf a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
FC_INLINE vm vf_less(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
FC_INLINE vi vi_select(vm m, vi a, vi b) { return _mm256_blendv_epi8(b, a, _mm256_castps_si256(m)); }
FC_INLINE vi vi_load(const int32_t *p) { return _mm256_loadu_si256((const vi *)p); }
FC_INLINE vf vf_tag(vf a, vi keep, vi tag) {
    return _mm256_or_ps(_mm256_and_ps(a, _mm256_castsi256_ps(keep)), _mm256_castsi256_ps(tag));
}
FC_INLINE uint32_t vm_bits(vm m) { return (uint32_t)_mm256_movemask_ps(m); }
FC_INLINE float vf_total(vf a) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
FC_INLINE float vf_least(vf a) {
    const __m128 four = _mm_min_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 two = _mm_min_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_min_ss(two, _mm_movehdup_ps(two)));
}
FC_INLINE vf vf_lookup(const float *table, int size, vi index) {
    if (size <= 8) return _mm256_permutevar8x32_ps(vf_load(table), index);
    return _mm256_i32gather_ps(table, index, 4);
}
FC_INLINE vi vi_twice_plus(vi a, vm m) { return _mm256_sub_epi32(_mm256_add_epi32(a, a), _mm256_castps_si256(m)); }
#define VF_HAS_LOAD3
/* VF_LANES rows of three floats, by column: blends gather a column's values, one permutation puts them in order. */
FC_INLINE void vf_load3(const float *rows, vf *x, vf *y, vf *z) {
    const vf a = vf_load(rows), b = vf_load(rows + 8), c = vf_load(rows + 16);
    const vi xo = _mm256_setr_epi32(0, 3, 6, 1, 4, 7, 2, 5), yo = _mm256_setr_epi32(1, 4, 7, 2, 5, 0, 3, 6);
    const vi zo = _mm256_setr_epi32(2, 5, 0, 3, 6, 1, 4, 7);
    *x = _mm256_permutevar8x32_ps(_mm256_blend_ps(_mm256_blend_ps(a, b, 0x92), c, 0x24), xo);
    *y = _mm256_permutevar8x32_ps(_mm256_blend_ps(_mm256_blend_ps(a, b, 0x24), c, 0x49), yo);
    *z = _mm256_permutevar8x32_ps(_mm256_blend_ps(_mm256_blend_ps(a, b, 0x49), c, 0x92), zo);
}

#elif defined(__SSE4_1__)
#include <smmintrin.h>
#define VF_LANES 4
#define VF_REGISTERS 16
typedef __m128 vf;
typedef __m128i vi;
typedef __m128 vm;
FC_INLINE vf vf_set1(float a) { return _mm_set1_ps(a); }
FC_INLINE vi vi_set1(int32_t a) { return _mm_set1_epi32(a); }
FC_INLINE vf vf_load(const float *p) { return _mm_loadu_ps(p); }
FC_INLINE void vf_store(float *p, vf a) { _mm_storeu_ps(p, a); }
FC_INLINE void vi_store(int32_t *p, vi a) { _mm_storeu_si128((__m128i *)p, a); }
FC_INLINE vf vf_add(vf a, vf b) { return _mm_add_ps(a, b); }
FC_INLINE vf vf_sub(vf a, vf b) { return _mm_sub_ps(a, b); }
FC_INLINE vf vf_mul(vf a, vf b) { return _mm_mul_ps(a, b); }
FC_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }
FC_INLINE vf vf_min(vf a, vf b) { return _mm_min_ps(a, b); }
FC_INLINE vf vf_max(vf a, vf b) { return _mm_max_ps(a, b); }
FC_INLINE vf vf_sqrt(vf a) { return _mm_sqrt_ps(a); }
FC_INLINE vf vf_abs(vf a) { return _mm_andnot_ps(_mm_set1_ps(-0.0f), a); }
FC_INLINE vm vf_less(vf a, vf b) { return _mm_cmplt_ps(a, b); }
FC_INLINE vi vi_select(vm m, vi a, vi b) { return _mm_blendv_epi8(b, a, _mm_castps_si128(m)); }
FC_INLINE vi vi_load(const int32_t *p) { return _mm_loadu_si128((const vi *)p); }
FC_INLINE vf vf_tag(vf a, vi keep, vi tag) {
    return _mm_or_ps(_mm_and_ps(a, _mm_castsi128_ps(keep)), _mm_castsi128_ps(tag));
}
FC_INLINE uint32_t vm_bits(vm m) { return (uint32_t)_mm_movemask_ps(m); }
FC_INLINE float vf_total(vf a) {
    const vf two = _mm_add_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
FC_INLINE float vf_least(vf a) {
    const vf two = _mm_min_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_min_ss(two, _mm_movehdup_ps(two)));
}
FC_INLINE vf vf_lookup(const float *table, int size, vi index) {
    (void)size;
    return _mm_setr_ps(table[_mm_extract_epi32(index, 0)], table[_mm_extract_epi32(index, 1)],
                       table[_mm_extract_epi32(index, 2)], table[_mm_extract_epi32(index, 3)]);
}
FC_INLINE vi vi_twice_plus(vi a, vm m) { return _mm_sub_epi32(_mm_add_epi32(a, a), _mm_castps_si128(m)); }

#elif defined(__aarch64__) && defined(__ARM_NEON)
#include <arm_neon.h>
#define VF_LANES 4
#define VF_REGISTERS 32
typedef float32x4_t vf;
typedef int32x4_t vi;
typedef uint32x4_t vm;
FC_INLINE vf vf_set1(float a) { return vdupq_n_f32(a); }
FC_INLINE vi vi_set1(int32_t a) { return vdupq_n_s32(a); }
FC_INLINE vf vf_load(const float *p) { return vld1q_f32(p); }
FC_INLINE void vf_store(float *p, vf a) { vst1q_f32(p, a); }
FC_INLINE void vi_store(int32_t *p, vi a) { vst1q_s32(p, a); }
FC_INLINE vf vf_add(vf a, vf b) { return vaddq_f32(a, b); }
FC_INLINE vf vf_sub(vf a, vf b) { return vsubq_f32(a, b); }
FC_INLINE vf vf_mul(vf a, vf b) { return vmulq_f32(a, b); }
FC_INLINE vf vf_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
FC_INLINE vf vf_min(vf a, vf b) { return vminnmq_f32(a, b); } /* b where a is NaN, as elsewhere */
FC_INLINE vf vf_max(vf a, vf b) { return vmaxq_f32(a, b); }
FC_INLINE vf vf_sqrt(vf a) { return vsqrtq_f32(a); }
FC_INLINE vf vf_abs(vf a) { return vabsq_f32(a); }
FC_INLINE vm vf_less(vf a, vf b) { return vcltq_f32(a, b); }
FC_INLINE vi vi_select(vm m, vi a, vi b) { return vbslq_s32(m, a, b); }
FC_INLINE vi vi_load(const int32_t *p) { return vld1q_s32(p); }
FC_INLINE vf vf_tag(vf a, vi keep, vi tag) {
    return vreinterpretq_f32_s32(vorrq_s32(vandq_s32(vreinterpretq_s32_f32(a), keep), tag));
}
FC_INLINE uint32_t vm_bits(vm m) {
    const uint32x4_t bit = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(m, bit));
}
FC_INLINE float vf_total(vf a) { return vaddvq_f32(a); }
FC_INLINE float vf_least(vf a) { return vminnmvq_f32(a); }
FC_INLINE vf vf_lookup(const float *table, int size, vi index) {
    (void)size;
    const float values[4] = {table[vgetq_lane_s32(index, 0)], table[vgetq_lane_s32(index, 1)],
                             table[vgetq_lane_s32(index, 2)], table[vgetq_lane_s32(index, 3)]};
    return vld1q_f32(values);
}
FC_INLINE vi vi_twice_plus(vi a, vm m) { return vsubq_s32(vaddq_s32(a, a), vreinterpretq_s32_u32(m)); }
#define VF_HAS_LOAD3
/* VF_LANES rows of three floats, by column. */
FC_INLINE void vf_load3(const float *rows, vf *x, vf *y, vf *z) {
    const float32x4x3_t columns = vld3q_f32(rows);
    *x = columns.val[0];
    *y = columns.val[1];
    *z = columns.val[2];
}

#else
#include <math.h>
#define VF_LANES 1
#define VF_REGISTERS 16
typedef float vf;
typedef int32_t vi;
typedef int vm;
FC_INLINE vf vf_set1(float a) { return a; }
FC_INLINE vi vi_set1(int32_t a) { return a; }
FC_INLINE vf vf_load(const float *p) { return *p; }
FC_INLINE void vf_store(float *p, vf a) { *p = a; }
FC_INLINE void vi_store(int32_t *p, vi a) { *p = a; }
FC_INLINE vf vf_add(vf a, vf b) { return a + b; }
FC_INLINE vf vf_sub(vf a, vf b) { return a - b; }
FC_INLINE vf vf_mul(vf a, vf b) { return a * b; }
FC_INLINE vf vf_fma(vf a, vf b, vf c) { return a * b + c; }
FC_INLINE vf vf_min(vf a, vf b) { return a < b ? a : b; }
FC_INLINE vf vf_max(vf a, vf b) { return a > b ? a : b; }
FC_INLINE vf vf_sqrt(vf a) { return sqrtf(a); }
FC_INLINE vf vf_abs(vf a) { return fabsf(a); }
FC_INLINE vm vf_less(vf a, vf b) { return a < b; }
FC_INLINE vi vi_select(vm m, vi a, vi b) { return m ? a : b; }
FC_INLINE vi vi_load(const int32_t *p) { return *p; }
FC_INLINE vf vf_tag(vf a, vi keep, vi tag) {
    union {
        vf value;
        vi bits;
    } both = {a};
    both.bits = (both.bits & keep) | tag;
    return both.value;
}
FC_INLINE uint32_t vm_bits(vm m) { return (uint32_t)m; }
FC_INLINE float vf_total(vf a) { return a; }
FC_INLINE float vf_least(vf a) { return a; }
FC_INLINE vf vf_lookup(const float *table, int size, vi index) { return (void)size, table[index]; }
FC_INLINE vi vi_twice_plus(vi a, vm m) { return 2 * a + (m != 0); }
#endif

#if VF_LANES == 16
#define VF_ZIP_LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define VF_ZIP_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif VF_LANES == 8
#define VF_ZIP_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define VF_ZIP_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#elif VF_LANES == 4
#define VF_ZIP_LOW 0, 4, 1, 5
#define VF_ZIP_HIGH 2, 6, 3, 7
#endif

/* A bit for every lane where a <= b, or where one of them is NaN. */
FC_INLINE uint32_t vf_at_most(vf a, vf b) { return vm_bits(vf_less(b, a)) ^ ((1u << VF_LANES) - 1); }

/* Transpose `count` vectors, a constant. Zipping the first half of them with the second, by the lanes that LOW and HIGH list,
 * rotates the bits of an item's address, vector and lane, by one; log2(count) times exchange the two. */
#define FC_TRANSPOSE(vector, block, count, LOW, HIGH)                                                                  \
    do {                                                                                                               \
        _Pragma("GCC unroll 4") for (int stage_ = 1; stage_ < (count); stage_ *= 2) {                                  \
            vector zipped_[count];                                                                                     \
            _Pragma("GCC unroll 8") for (int i_ = 0; i_ < (count) / 2; i_++) {                                         \
                zipped_[2 * i_] = __builtin_shufflevector((block)[i_], (block)[i_ + (count) / 2], LOW);                \
                zipped_[2 * i_ + 1] = __builtin_shufflevector((block)[i_], (block)[i_ + (count) / 2], HIGH);           \
            }                                                                                                          \
            _Pragma("GCC unroll 16") for (int i_ = 0; i_ < (count); i_++)(block)[i_] = zipped_[i_];                    \
        }                                                                                                              \
    } while (0)

/* Transpose VF_LANES vectors. */
FC_INLINE void vf_transpose(vf *block) {
#if VF_LANES > 1
    FC_TRANSPOSE(vf, block, VF_LANES, VF_ZIP_LOW, VF_ZIP_HIGH);
#else
    (void)block;
#endif
}

/* The bits of `a` where `keep` has none: what vf_tag has put there. */
FC_INLINE vi vf_tag_of(vf a, vi keep) {
    vi bits;
    __builtin_memcpy(&bits, &a, sizeof(bits));
    return bits & ~keep;
}

/* table[index] lane by lane, of a table of `size` values, a power of two. */
FC_INLINE vi vi_lookup(const int32_t *table, int size, vi index) {
#if defined(__AVX512F__)
    if (size > VF_LOOKUP_MOST) return _mm512_i32gather_epi32(index, table, 4);
    return _mm512_castps_si512(vf_lookup((const float *)table, size, index)); /* memory of whole vectors */
#else
    int32_t lanes[VF_LANES];
    (void)size;
    vi_store(lanes, index);
    for (int l = 0; l < VF_LANES; l++) lanes[l] = table[lanes[l]];
    return vi_load(lanes);
#endif
}

#if defined(__AVX512F__)
#define VF_HAS_HALVES
FC_INLINE vf vf_load_halves(const float *low, const float *high) {
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(low)), _mm256_loadu_ps(high), 1);
}

#define VF_ZIP_HALVES_LOW 0, 16, 1, 17, 2, 18, 3, 19, 8, 24, 9, 25, 10, 26, 11, 27
#define VF_ZIP_HALVES_HIGH 4, 20, 5, 21, 6, 22, 7, 23, 12, 28, 13, 29, 14, 30, 15, 31

/* Vector a of VF_LANES / 2 holds half a row a, and half a row a + VF_LANES / 2: transpose these halves, in fewer steps. */
FC_INLINE void vf_transpose_halves(vf *block) {
    FC_TRANSPOSE(vf, block, VF_LANES / 2, VF_ZIP_HALVES_LOW, VF_ZIP_HALVES_HIGH);
}
#endif

/* Write base + lane for every lane set in `m`, in order, at `out`; returns how many. May write VF_LANES values. */
FC_INLINE int vi_store_where(int32_t *out, int32_t base, vm m) {
#if defined(__AVX512F__)
    const vi lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    vi_store(out, _mm512_maskz_compress_epi32(m, _mm512_add_epi32(vi_set1(base), lane)));
    return __builtin_popcount(m);
#else
    int count = 0;
    for (uint32_t bits = vm_bits(m); bits; bits &= bits - 1) out[count++] = base + __builtin_ctz(bits);
    return count;
#endif
}

#if defined(__AVX512F__)
#define VF_COMPRESSES
/* The values of the lanes whose bits are set, from bit `first` on, a multiple of VF_LANES, at `out`, in order. May write
 * VF_LANES of them. */
FC_INLINE int vf_store_bits(float *out, vf value, const uint8_t *bits, ptrdiff_t first) {
    const uint32_t m = (uint32_t)bits[first / 8] | (uint32_t)bits[first / 8 + 1] << 8;
    vf_store(out, _mm512_maskz_compress_ps((vm)m, value));
    return __builtin_popcount(m);
}

/* Set the bit of every one of VF_LANES values that is less than `bound`. */
FC_INLINE void vi_less_bits(uint8_t *bits, const int32_t *values, int32_t bound) {
    const uint32_t m = _mm512_cmplt_epi32_mask(vi_load(values), vi_set1(bound));
    bits[0] = (uint8_t)m;
    bits[1] = (uint8_t)(m >> 8);
}

/* As vf_store_bits. */
FC_INLINE int vi_store_bits(int32_t *out, const int32_t *values, const uint8_t *bits) {
    const uint32_t m = (uint32_t)bits[0] | (uint32_t)bits[1] << 8;
    vi_store(out, _mm512_maskz_compress_epi32((vm)m, vi_load(values)));
    return __builtin_popcount(m);
}
#endif

/* Write the values of every lane set in `m`, in order; returns how many. May write VF_LANES of them. */
FC_INLINE int vf_store_where(float *out, vf value, vm m) {
#if defined(__AVX512F__)
    vf_store(out, _mm512_maskz_compress_ps(m, value));
    return __builtin_popcount(m);
#else
    float lanes[VF_LANES];
    int count = 0;
    vf_store(lanes, value);
    for (uint32_t bits = vm_bits(m); bits; bits &= bits - 1) out[count++] = lanes[__builtin_ctz(bits)];
    return count;
#endif
}

#endif

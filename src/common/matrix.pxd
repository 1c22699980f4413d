"""The caller's array as the C struct `matrix` (matrix.h), held through the buffer protocol while a kernel reads it."""

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_STRIDES, PyObject_GetBuffer
from libc.stddef cimport ptrdiff_t


cdef extern from "common/matrix.h" nogil:
    ctypedef enum matrix_dtype:
        MATRIX_UINT8
        MATRIX_UINT16
        MATRIX_FLOAT32
        MATRIX_FLOAT64

    ctypedef struct matrix:
        const char* data
        ptrdiff_t n_rows
        ptrdiff_t n_columns
        ptrdiff_t row_stride
        ptrdiff_t column_stride
        matrix_dtype dtype

    void matrix_columns_f32(const matrix* view, ptrdiff_t start, ptrdiff_t count, const double* shift, float* out,
                            ptrdiff_t ld) noexcept
    void matrix_row_f64(const matrix* view, ptrdiff_t row, double* out) noexcept


cdef inline int acquire_matrix(object array, Py_buffer* buffer, matrix* view) except -1:
    """Fill `view` from a 2-D array. The caller releases `buffer` (PyBuffer_Release) when the kernel is done."""
    PyObject_GetBuffer(array, buffer, PyBUF_STRIDES | PyBUF_FORMAT)
    cdef bytes code = buffer.format
    if buffer.ndim != 2 or code not in (b"B", b"H", b"f", b"d"):
        raise TypeError(f"kernels take 2-D uint8, uint16, float32 or float64 arrays, not {buffer.ndim}-D {code!r}")
    view.data = <const char*>buffer.buf
    view.n_rows = buffer.shape[0]
    view.n_columns = buffer.shape[1]
    view.row_stride = buffer.strides[0]
    view.column_stride = buffer.strides[1]
    view.dtype = (MATRIX_UINT8 if code == b"B" else MATRIX_UINT16 if code == b"H"
                  else MATRIX_FLOAT32 if code == b"f" else MATRIX_FLOAT64)
    return 0


cdef inline const double* weights_pointer(const double[::1] weights) noexcept:
    """The weights' memory, or NULL for None (all ones)."""
    if weights is None:
        return NULL
    return &weights[0]

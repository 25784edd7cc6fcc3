//! Settings of the C library's allocator, which serves every allocation of the process.
//!
//! Left alone it gives memory back as soon as some of it lies free at the end of an arena. Produced frames come and go by
//! the megabyte there, so a quarter of them were received into pages that the kernel had to clear and map again.

/// Allocations from this size on get a mapping of their own, which is given back when they are freed.
#[cfg(target_env = "gnu")]
const MMAP_THRESHOLD: i32 = 8 << 20;
/// Free memory at the end of an arena that is kept.
#[cfg(target_env = "gnu")]
const TRIM_THRESHOLD: i32 = 16 << 20;
/// Arenas, and with them the memory that may lie free: as many as there are threads that receive frames.
#[cfg(target_env = "gnu")]
const ARENAS: i32 = 4;

/// Keeps freed memory for the next frames. To be called before there are threads.
#[cfg(target_env = "gnu")]
pub fn keep_freed_memory() {
    let settings = [
        (libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD),
        (libc::M_TRIM_THRESHOLD, TRIM_THRESHOLD),
        (libc::M_ARENA_MAX, ARENAS),
    ];
    for (parameter, value) in settings {
        // SAFETY: `mallopt` takes two numbers and touches nothing of ours; a setting that it refuses stays as it was.
        #[allow(unsafe_code)]
        unsafe {
            libc::mallopt(parameter, value);
        }
    }
}

/// Other C libraries have nothing to set.
#[cfg(not(target_env = "gnu"))]
pub fn keep_freed_memory() {}

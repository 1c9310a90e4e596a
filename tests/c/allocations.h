/*
 * Counts the allocations of a whole program, its shared libraries among them: what a program defines comes before what
 * the C library does. To be included first, or by -include: it includes nothing, so that what comes next is as ever.
 *
 * At the end of the program it says how many there were.
 */
#ifndef IPQ_TEST_ALLOCATIONS_H
#define IPQ_TEST_ALLOCATIONS_H

extern void *__libc_malloc(__SIZE_TYPE__ size);
extern void *__libc_calloc(__SIZE_TYPE__ count, __SIZE_TYPE__ size);
extern void *__libc_realloc(void *memory, __SIZE_TYPE__ size);
extern void *__libc_memalign(__SIZE_TYPE__ alignment, __SIZE_TYPE__ size);

static unsigned long allocations_counted;

static unsigned long allocations(void)
{
	return __atomic_load_n(&allocations_counted, __ATOMIC_RELAXED);
}

static void count_allocation(void)
{
	__atomic_fetch_add(&allocations_counted, 1, __ATOMIC_RELAXED);
}

void *malloc(__SIZE_TYPE__ size)
{
	count_allocation();
	return __libc_malloc(size);
}

void *calloc(__SIZE_TYPE__ count, __SIZE_TYPE__ size)
{
	count_allocation();
	return __libc_calloc(count, size);
}

void *realloc(void *memory, __SIZE_TYPE__ size)
{
	count_allocation();
	return __libc_realloc(memory, size);
}

void *aligned_alloc(__SIZE_TYPE__ alignment, __SIZE_TYPE__ size)
{
	count_allocation();
	return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, __SIZE_TYPE__ alignment, __SIZE_TYPE__ size)
{
	count_allocation();
	*memory = __libc_memalign(alignment, size);
	/* ENOMEM. */
	return *memory ? 0 : 12;
}

__attribute__((destructor)) static void say_allocations(void)
{
	__builtin_printf("allocations %lu\n", allocations());
}

#endif

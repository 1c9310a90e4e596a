/*
 * Opens and closes sessions again and again, also such that cannot be opened: no descriptor, no thread and no memory is
 * left.
 *
 * COUNT: how often.
 */
#include "program.h"

#include <dirent.h>

static long entries(const char *directory)
{
	DIR *entry = opendir(directory);
	long count = 0;

	expect(entry);
	while (readdir(entry))
		count++;
	closedir(entry);
	return count;
}

/* Bytes in memory, in pages. */
static long resident(void)
{
	FILE *statm = fopen("/proc/self/statm", "r");
	long size, pages;

	expect(statm && fscanf(statm, "%ld %ld", &size, &pages) == 2);
	fclose(statm);
	return pages;
}

static void once(void)
{
	static unsigned char buffer[BUFFER_SIZE];
	struct ipq_options options = IPQ_OPTIONS_INIT;
	struct ipq_handle *h = open_queue(NFPROTO_IPV4, IPQ_COPY_PACKET, 0);
	struct ipq_handle *other = ipq_create_handle(0, NFPROTO_IPV6);

	expect(other);
	/* It has one already. */
	expect(!ipq_create_handle(0, NFPROTO_IPV4));
	expect(!ipq_create_handle(0, 7));
	options.transport = "unix:/nowhere/kernel";
	expect(!ipq_create_handle_with(NFPROTO_IPV4, &options));
	expect(ipq_read(h, buffer, sizeof(buffer), -1) <= 0);
	close_queue(other);
	close_queue(h);
}

int main(int argc, char **argv)
{
	long i, count, descriptors, threads, pages;

	if (argc != 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	count = atol(argv[1]);
	for (i = 0; i < count / 10; i++)
		once();
	descriptors = entries("/proc/self/fd");
	threads = entries("/proc/self/task");
	pages = resident();
	for (i = 0; i < count; i++)
		once();
	expect(entries("/proc/self/fd") == descriptors);
	expect(entries("/proc/self/task") == threads);
	pages = resident() - pages;
	printf("pages %ld\n", pages);
	expect(pages <= 256);
	puts("done");
	return 0;
}

/*
 * The limit of reading and writing messages: `codec DIRECTION MESSAGE TIMES`, with the message to be read on stdin.
 *
 * Structures are laid over the bytes and attributes are walked, with no more checks than keep the walk inside of the
 * message; every field that ipq-proto reads is read. It prints what `src/codec.rs` says.
 */
#define _GNU_SOURCE
#include "codec_read.h"
#include "codec_write.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* The compiler must think that what `pointer` points to is read and written here. */
#define ESCAPE(pointer) __asm__ volatile("" : "+r"(pointer) : : "memory")

static const uint8_t payload[84] =
	"E\0\0T\0\x01@\0@\x01<\xa6\x7f\0\0\x01\x7f\0\0\x01"
	"0123456789012345678901234567890123456789012345678901234567890123";

/* What is written. `src/codec/messages.rs` says what it is. */
static const struct input input = {
	.queue = 3, .id = 0x01020304, .verdict = NF_ACCEPT, .mark = 0x11, .range = 0xffff,
	.sequence = 7, .address = 0xffff880012345660, .seconds = 1795429884, .microseconds = 481597,
	.devices = { 2, 1 }, .owner = { 1000, 1000 }, .info = NFQA_SKB_CSUM_NOTVERIFIED,
	.payload = { payload, sizeof(payload) },
};

static uint8_t buffer[512] __attribute__((aligned(16)));
static union decoded decoded;

static uint64_t processor_time(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static _Noreturn void usage(void)
{
	fputs("usage: codec decode|encode MESSAGE TIMES, the message to be read on stdin\n", stderr);
	exit(2);
}

/* A loop around each function, so that the compiler can have it inside. */
#define MANY(name)                                                      \
	static void decode_many_##name(size_t length, uint64_t times)   \
	{                                                               \
		for (uint64_t i = 0; i < times; i++) {                  \
			const void *in = buffer;                        \
			union decoded *out = &decoded;                  \
									\
			ESCAPE(in);                                     \
			ESCAPE(out);                                    \
			if (!decode_##name(in, length, out))            \
				usage();                                \
		}                                                       \
	}                                                               \
									\
	static size_t encode_many_##name(uint64_t times)                \
	{                                                               \
		size_t length = 0;                                      \
									\
		for (uint64_t i = 0; i < times; i++) {                  \
			const struct input *in = &input;                \
			uint8_t *out = buffer;                          \
									\
			ESCAPE(in);                                     \
			ESCAPE(out);                                    \
			length = encode_##name(out, in);                \
		}                                                       \
		return length;                                          \
	}

MANY(ip_queue_packet)
MANY(ip_queue_verdict)
MANY(ip_queue_mode)
MANY(nfqueue_packet)
MANY(nfqueue_verdict)
MANY(nfqueue_replacement)
MANY(nfqueue_batch)
MANY(nfqueue_config)

static const struct {
	const char *name;
	void (*decode)(size_t length, uint64_t times);
	uint64_t (*digest)(const union decoded *);
	size_t (*encode)(uint64_t times);
} messages[] = {
	{ "ip-queue-packet", decode_many_ip_queue_packet, digest_ip_queue_packet, encode_many_ip_queue_packet },
	{ "ip-queue-verdict", decode_many_ip_queue_verdict, digest_ip_queue_verdict, encode_many_ip_queue_verdict },
	{ "ip-queue-mode", decode_many_ip_queue_mode, digest_ip_queue_mode, encode_many_ip_queue_mode },
	{ "nfqueue-packet", decode_many_nfqueue_packet, digest_nfqueue_packet, encode_many_nfqueue_packet },
	{ "nfqueue-verdict", decode_many_nfqueue_verdict, digest_nfqueue_verdict, encode_many_nfqueue_verdict },
	{ "nfqueue-replacement", decode_many_nfqueue_replacement, digest_nfqueue_verdict,
	  encode_many_nfqueue_replacement },
	{ "nfqueue-batch", decode_many_nfqueue_batch, digest_nfqueue_verdict, encode_many_nfqueue_batch },
	{ "nfqueue-config", decode_many_nfqueue_config, digest_nfqueue_config, encode_many_nfqueue_config },
};

int main(int argc, char **argv)
{
	size_t which = 0, count = sizeof(messages) / sizeof(*messages);
	uint64_t start, digest, times;
	ssize_t length;

	if (argc != 4)
		usage();
	while (which < count && strcmp(messages[which].name, argv[2]) != 0)
		which++;
	if (which == count)
		usage();
	times = strtoull(argv[3], NULL, 10);
	length = read(STDIN_FILENO, buffer, sizeof(buffer));
	if (length < 0)
		usage();
	start = processor_time();
	if (strcmp(argv[1], "encode") == 0)
		length = (ssize_t)messages[which].encode(times);
	else
		messages[which].decode((size_t)length, times);
	start = processor_time() - start;
	if (strcmp(argv[1], "encode") == 0)
		digest = digest_of(buffer, (size_t)length);
	else
		digest = messages[which].digest(&decoded);
	printf("%" PRIu64 " %" PRIu64 "\n", start, digest);
	return 0;
}

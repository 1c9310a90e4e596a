/*
 * The ip_queue messages as a C compiler lays them out.
 *
 * The fields are those of spec/ip_queue-wire.md, in our own words and in the types that a kernel of the time
 * would use. One instance of each message lies in a section of its own; `cargo xtask golden` compiles this file
 * for 64 and for 32 bits and writes the sections to *-lp64.bin and *-ilp32.bin. Each field has a value of its
 * own, so that two that change places are noticed. What is 64 bits wide here is cut to 32 there.
 */

typedef __SIZE_TYPE__ size_type;

struct netlink_header {
	unsigned int len;
	unsigned short type;
	unsigned short flags;
	unsigned int seq;
	unsigned int pid;
};

struct packet {
	unsigned long id;
	unsigned long mark;
	long seconds;
	long microseconds;
	unsigned int hook;
	char input_device[16];
	char output_device[16];
	unsigned short hw_protocol; /* in network order */
	unsigned short hw_type;
	unsigned char hw_addrlen;
	unsigned char hw_addr[8];
	size_type data_len;
	unsigned char payload[];
};

struct mode {
	unsigned char value;
	size_type range;
};

struct verdict {
	unsigned int value;
	unsigned long id;
	size_type data_len;
	unsigned char replacement[];
};

union peer {
	struct mode mode;
	struct {
		unsigned int value;
		unsigned long id;
		size_type data_len;
	} verdict;
};

struct error {
	int error;
	struct netlink_header request;
	unsigned char rest[];
};

/* The wire format, stated once more in numbers: LP64, then ILP32. */
#define WORD_IS_64 (sizeof(long) == 8)
#define AT(type, field, lp64, ilp32)                                                     \
	_Static_assert(__builtin_offsetof(type, field) == (WORD_IS_64 ? (lp64) : (ilp32)), \
		       #type " " #field)
#define SIZE(type, lp64, ilp32) \
	_Static_assert(sizeof(type) == (WORD_IS_64 ? (lp64) : (ilp32)), #type)

_Static_assert(sizeof(long) == sizeof(void *) && sizeof(long) == sizeof(size_type), "a word");
_Static_assert(sizeof(int) == 4 && sizeof(short) == 2, "an int and a short");

AT(struct netlink_header, len, 0, 0);
AT(struct netlink_header, type, 4, 4);
AT(struct netlink_header, flags, 6, 6);
AT(struct netlink_header, seq, 8, 8);
AT(struct netlink_header, pid, 12, 12);
SIZE(struct netlink_header, 16, 16);

AT(struct packet, id, 0, 0);
AT(struct packet, mark, 8, 4);
AT(struct packet, seconds, 16, 8);
AT(struct packet, microseconds, 24, 12);
AT(struct packet, hook, 32, 16);
AT(struct packet, input_device, 36, 20);
AT(struct packet, output_device, 52, 36);
AT(struct packet, hw_protocol, 68, 52);
AT(struct packet, hw_type, 70, 54);
AT(struct packet, hw_addrlen, 72, 56);
AT(struct packet, hw_addr, 73, 57);
AT(struct packet, data_len, 88, 68);
AT(struct packet, payload, 96, 72);
SIZE(struct packet, 96, 72);

AT(struct mode, value, 0, 0);
AT(struct mode, range, 8, 4);
SIZE(struct mode, 16, 8);

AT(struct verdict, value, 0, 0);
AT(struct verdict, id, 8, 4);
AT(struct verdict, data_len, 16, 8);
AT(struct verdict, replacement, 24, 12);
SIZE(struct verdict, 24, 12);
SIZE(union peer, 24, 12);

AT(struct error, error, 0, 0);
AT(struct error, request, 4, 4);
AT(struct error, rest, 20, 20);
SIZE(struct error, 20, 20);

/* The messages. */
#define WORD(high, low) ((unsigned long)(((unsigned long long)(high) << 32) | (low)))
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define NETWORK16(number) ((unsigned short)(((number) & 0xff) << 8 | (number) >> 8))
#else
#define NETWORK16(number) ((unsigned short)(number))
#endif
#define SECTION(name) __attribute__((used, section(name)))

SECTION(".g_packet")
const struct {
	struct netlink_header header;
	struct packet body;
	unsigned char payload[8];
} golden_packet = {
	.header = { sizeof(golden_packet), 0x13, 0x8182, 0x83848586, 0x8788898a },
	.body = {
		.id = WORD(0xa1a2a3a4, 0xa5a6a7a8),
		.mark = WORD(0xb1b2b3b4, 0xb5b6b7b8),
		.seconds = (long)WORD(0xc1c2c3c4, 0xc5c6c7c8), /* negative, in either width */
		.microseconds = (long)WORD(0x51525354, 0x55565758),
		.hook = 0xd1d2d3d4,
		.input_device = "in-23456789abcd",
		.output_device = "out-3456789ABCD",
		.hw_protocol = NETWORK16(0x86dd),
		.hw_type = 0xe1e2,
		.hw_addrlen = 6,
		.hw_addr = { 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8 },
		.data_len = 8,
	},
	.payload = { 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68 },
};

SECTION(".g_mode")
const struct {
	struct netlink_header header;
	union peer body;
} golden_mode = {
	.header = { sizeof(golden_mode), 0x11, 0x1112, 0x13141516, 0x1718191a },
	.body.mode = { .value = 0x21, .range = WORD(0x31323334, 0x35363738) },
};

SECTION(".g_verdict")
const struct {
	struct netlink_header header;
	struct verdict body;
	unsigned char replacement[8];
} golden_verdict = {
	.header = { sizeof(golden_verdict), 0x12, 0x2122, 0x23242526, 0x2728292a },
	.body = {
		.value = 0x41424344,
		.id = WORD(0x71727374, 0x75767778),
		.data_len = 8,
	},
	.replacement = { 0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98 },
};

SECTION(".g_error")
const struct {
	struct netlink_header header;
	struct error body;
	unsigned char rest[8];
} golden_error = {
	.header = { sizeof(golden_error), 2, 0x3132, 0x33343536, 0x3738393a },
	.body = {
		.error = -2,
		.request = { 24, 0x12, 0x4142, 0x43444546, 0x4748494a },
	},
	.rest = { 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0 },
};

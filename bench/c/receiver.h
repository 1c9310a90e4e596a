/*
 * What the receivers in C share. `src/lib.rs` is the same for those in Rust, and says what a receiver is.
 */
#ifndef IPQ_BENCH_RECEIVER_H
#define IPQ_BENCH_RECEIVER_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* As given on the command line: QUEUE MAXLEN RCVBUF GSO, and BATCH for those that batch. */
struct options {
	uint16_t queue;
	uint32_t maxlen;
	int rcvbuf;
	bool gso;
	unsigned int batch;
};

/* Reads the command line; ends the program if it is wrong. */
struct options receiver_options(int argc, char **argv);

/* Sets what all receivers set on their sockets. */
void receiver_prepare(int fd, const struct options *options);

/* Says that packets may come now. From here on, signals ask for reports. */
void receiver_ready(void);

/* Ends the program with what failed and errno's reason. */
_Noreturn void receiver_fail(const char *what);

/* The signal that came, if one did. */
extern volatile sig_atomic_t receiver_asked;

/* Prints a report, and ends the program if the signal says so. */
void receiver_report(uint64_t packets);

/* To be called whenever something was received, before it is counted. */
static inline void receiver_tick(uint64_t packets)
{
	if (__builtin_expect(receiver_asked != 0, 0))
		receiver_report(packets);
}

#endif

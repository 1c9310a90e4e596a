/*
 * A library to be preloaded: sends every thread of the program a signal, again and again, which a handler takes that does
 * not restart calls. Children are left alone.
 */
#define _GNU_SOURCE

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Between two signals, in nanoseconds: long enough for a program to get on. */
#define PAUSE 200000

static void on_signal(int number)
{
	(void)number;
}

static void signal_all_but(pid_t self)
{
	DIR *threads = opendir("/proc/self/task");
	const struct dirent *thread;

	if (!threads)
		return;
	while ((thread = readdir(threads))) {
		pid_t id = (pid_t)atoi(thread->d_name);

		if (id > 0 && id != self)
			syscall(SYS_tgkill, getpid(), id, SIGUSR2);
	}
	closedir(threads);
}

static void *bombard(void *unused)
{
	const struct timespec pause = { 0, PAUSE };
	pid_t self = (pid_t)syscall(SYS_gettid);

	(void)unused;
	for (;;) {
		signal_all_but(self);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

__attribute__((constructor)) static void begin(void)
{
	struct sigaction action;
	pthread_t thread;

	memset(&action, 0, sizeof(action));
	action.sa_handler = on_signal;
	unsetenv("LD_PRELOAD");
	if (sigaction(SIGUSR2, &action, NULL) != 0 || pthread_create(&thread, NULL, bombard, NULL) != 0)
		abort();
	pthread_detach(thread);
}

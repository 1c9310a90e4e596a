/*
 * What the original does not have.
 *
 * TRANSPORT COUNT MARK: accepts COUNT packets with one call, then one more with MARK, which must be refused if it is 0.
 */
#include "program.h"

static unsigned char buffer[BUFFER_SIZE];

static void accept_together(const struct ipq_handle *h, size_t count)
{
	struct ipq_verdict *verdicts = (struct ipq_verdict *)calloc(count, sizeof(*verdicts));
	size_t i;

	expect(verdicts);
	for (i = 0; i < count; i++) {
		verdicts[i].id = next_packet(h, buffer, sizeof(buffer))->packet_id;
		verdicts[i].verdict = NF_ACCEPT;
	}
	expect(ipq_set_verdicts(h, verdicts, count) == (ssize_t)count);
	expect(ipq_set_verdicts(h, NULL, 0) == 0 && ipq_set_verdicts(h, NULL, 1) == -1);
	free(verdicts);
}

static void accept_marked(const struct ipq_handle *h, unsigned long mark)
{
	ipq_id_t id = next_packet(h, buffer, sizeof(buffer))->packet_id;

	if (mark) {
		expect(ipq_set_vwmark(h, id, NF_ACCEPT, mark, 0, NULL) > 0);
		return;
	}
	expect(ipq_set_vwmark(h, id, NF_ACCEPT, 1, 0, NULL) == -1 && errno == EOPNOTSUPP);
	printf("a mark: %s\n%s\n", ipq_errstr(), ipq_errdetail());
	expect(ipq_set_verdict(h, id, NF_ACCEPT, 0, NULL) > 0);
}

static void print_statistics(const struct ipq_handle *h)
{
	struct ipq_statistics now;
	uint64_t packets;

	expect(ipq_get_statistics(h, &now, sizeof(now)) == 0);
	expect(ipq_get_statistics(h, NULL, sizeof(now)) == -1);
	/* A program that knows fewer numbers. */
	expect(ipq_get_statistics(h, (struct ipq_statistics *)(void *)&packets, sizeof(packets)) == 0);
	expect(packets == now.packets);
	printf("packets %llu verdicts %llu refused %llu truncated %llu overruns %llu foreign %llu malformed %llu\n",
	       (unsigned long long)now.packets, (unsigned long long)now.verdicts,
	       (unsigned long long)now.refused, (unsigned long long)now.truncated,
	       (unsigned long long)now.overruns, (unsigned long long)now.foreign,
	       (unsigned long long)now.malformed);
}

int main(int argc, char **argv)
{
	struct ipq_options options = IPQ_OPTIONS_INIT;
	struct ipq_handle *h;

	if (argc != 4)
		return 2;
	begin();
	options.transport = "nonsense";
	expect(!ipq_create_handle_with(NFPROTO_IPV4, &options) && errno == EINVAL);
	printf("nonsense: %s\n%s\n", ipq_errstr(), ipq_errdetail());
	options.size = 3;
	expect(!ipq_create_handle_with(NFPROTO_IPV4, &options) && errno == EINVAL);

	options.size = sizeof(options);
	options.transport = argv[1];
	options.flags = IPQ_OPTION_CLOEXEC | IPQ_OPTION_NO_ENOBUFS;
	options.rcvbuf = 1 << 20;
	h = ipq_create_handle_with(NFPROTO_IPV4, &options);
	if (!h) {
		fprintf(stderr, "%s\n", ipq_errdetail());
		fail("ipq_create_handle_with");
	}
	expect(fcntl(h->fd, F_GETFD) == FD_CLOEXEC);
	expect(ipq_handle_error(h) == IPQ_ERROR_NONE);
	if (ipq_set_mode(h, IPQ_COPY_PACKET, 0) < 0)
		fail("ipq_set_mode");
	puts("ready");
	accept_together(h, (size_t)atol(argv[2]));
	accept_marked(h, strtoul(argv[3], NULL, 0));

	expect(ipq_read(h, buffer, 1, 0) == -1 && ipq_handle_error(h) == IPQ_ERROR_RECVBUF);
	print_statistics(h);
	close_queue(h);
	return 0;
}

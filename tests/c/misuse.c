/*
 * What is wrong in the program itself: an error where it can be known. One handle is opened, and no packet is wanted.
 */
#include "program.h"

static unsigned char buffer[BUFFER_SIZE];

static void print(const char *what)
{
	printf("%s: %s, %s\n", what, ipq_errstr(), strerror(errno));
	errno = 0;
}

static void handles(struct ipq_handle *h)
{
	struct ipq_handle copy = *h, *foreign = (struct ipq_handle *)(void *)buffer;

	expect(ipq_destroy_handle(NULL) == 0);
	expect(ipq_set_mode(NULL, IPQ_COPY_META, 0) == -1);
	print("no handle");
	expect(ipq_read(foreign, buffer, sizeof(buffer), -1) == -1);
	print("a foreign pointer");
	expect(ipq_set_verdict(&copy, 1, NF_ACCEPT, 0, NULL) == -1);
	print("a copy");
	close_queue(h);
	expect(ipq_set_mode(h, IPQ_COPY_META, 0) == -1);
	print("a destroyed handle");
	expect(ipq_destroy_handle(h) == -1);
	print("destroyed again");
}

static void buffers(const struct ipq_handle *h)
{
	expect(ipq_read(h, NULL, sizeof(buffer), -1) == -1);
	print("no buffer");
	expect(ipq_read(h, buffer, 19, -1) == -1);
	print("19 bytes");
	expect(ipq_read(h, buffer, SIZE_MAX, -1) == -1);
	print("more bytes than there are");
	expect(ipq_message_type(NULL) == -1 && !ipq_get_packet(NULL) && ipq_get_msgerr(NULL) == -1);
	print("no message");
	expect(ipq_set_verdict(h, 1, NF_ACCEPT, SIZE_MAX, buffer) == -1);
	print("too long a replacement");
}

/* Messages that say what cannot be. */
static void messages(void)
{
	struct nlmsghdr *header = (struct nlmsghdr *)(void *)buffer;
	ipq_packet_msg_t *packet = (ipq_packet_msg_t *)(void *)(buffer + NLMSG_HDRLEN);

	memset(buffer, 0, 256);
	header->nlmsg_type = IPQM_PACKET;
	header->nlmsg_len = NLMSG_HDRLEN + sizeof(*packet) - 1;
	expect(!ipq_get_packet(buffer));
	print("a packet without its end");
	header->nlmsg_len = NLMSG_HDRLEN + sizeof(*packet) + 4;
	packet->data_len = 5;
	expect(!ipq_get_packet(buffer));
	print("a packet of more bytes than its message");
	packet->data_len = 4;
	expect(ipq_get_packet(buffer) == packet && ipq_get_msgerr(buffer) == -1);
	header->nlmsg_type = NLMSG_ERROR;
	header->nlmsg_len = NLMSG_HDRLEN + 19;
	expect(ipq_get_msgerr(buffer) == -1 && !ipq_get_packet(buffer));
	print("an error without its end");
}

int main(void)
{
	struct ipq_handle *h;
	int i;

	begin();
	expect(!ipq_create_handle(0, 4));
	printf("protocol 4: %s\n", ipq_errstr());
	h = open_queue(NFPROTO_IPV4, IPQ_COPY_META, 0);
	errno = 0;
	buffers(h);
	messages();
	handles(h);
	for (i = -1; i <= IPQ_ERROR_MAX + 1; i++)
		printf("%d %s\n", i, ipq_strerror(i));
	for (i = 0; i <= IPQ_ERROR_MAX; i++)
		expect(ipq_errmap[i].code == i && ipq_errmap[i].text == ipq_strerror(i));
	return 0;
}

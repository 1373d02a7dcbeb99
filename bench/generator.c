/*
 * The load of `make bench`: clients in channels, some of which send messages.
 *
 *     generator WIRE PORT CHANNELS MEMBERS SENDERS MESSAGES WINDOW RATE BYTES
 *
 * WIRE is `result` or `irc`, with `+tls` behind it for TLS, if this was compiled with -DWITH_TLS -lssl. Each of CHANNELS has MEMBERS clients of its own, of which SENDERS send MESSAGES each, of
 * BYTES. A sender has at most WINDOW messages that its next neighbour has not received; with RATE above 0 all senders
 * together send RATE messages a second instead, on a fixed schedule, and latency counts from the scheduled time.
 *
 * It logs in, joins, writes `ready`, and waits for a line on standard input. Then it sends, and writes `done` when all
 * has arrived. It checks that each member gets each message once, in the order of its sender, unaltered. It writes one
 * line of JSON; the latencies are in microseconds, of all deliveries. Exit status 1, and `wrong` in the JSON: something was lost, altered, repeated or out
 * of order. Exit status 2: the server could not be used.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_TLS
#include <openssl/ssl.h>
#endif

enum {
    LONGEST_LINE = 2048,
    READ_AT_ONCE = 1 << 18,
    HEAD = 24,            /* of a text: sequence and time, in hexadecimal digits */
    RECORD = 1 << 14,     /* bytes that a record of TLS carries at most */
    ADDRESSES = 8,        /* loopback addresses that the clients come from, since each has 28,000 ports */
    PATIENCE = 20 * 1000, /* milliseconds without any progress */
};

struct wire {
    const char *login, *create, *join, *say, *received, *end; /* formats; their arguments are names */
    const char *logged_in, *created, *joined, *ping, *pong;
    const char *postponed; /* a login is not answered at once, but a command before it is refused like this */
    int echoes;            /* whether a sender gets its own message */
};

static const struct wire WIRES[] = {
    {"REGISTER u%05d secret\nLOGIN u%05d secret\n", "CREATE c%04d\n", "JOIN c%04d\n", "SAY c%04d ", "RECV u%05d c%04d ",
     "\n", "RESULT LOGIN 1", "RESULT CREATE", "RESULT JOIN", "PING\n", "RESULT PING 1", NULL, 1},
    {"NICK u%05d\r\nUSER u%05d 0 * :bench\r\nPING bench\r\n", NULL, "JOIN #c%04d\r\n", "PRIVMSG #c%04d :", ":u%05d PRIVMSG #c%04d :",
     "\r\n", " 001 ", NULL, " 366 ", "PING bench\r\n", " PONG ", " 451 ", 0},
};

struct client {
    int number, socket, is_logged_in;
    void *tls; /* the connection of OpenSSL; NULL without TLS */
    unsigned sent, seen_by_neighbour;
    unsigned *next; /* of each sender of the channel, the sequence that comes next */
    size_t held;    /* bytes of an incomplete line */
    char line[LONGEST_LINE];
    char say[64], received[64]; /* what stands before the text: in what it sends, and in what others get of it */
    size_t say_length, received_length;
};

static const struct wire *wire;
static int channels, members, senders, window, text_bytes;
static unsigned messages;
static double rate;
static struct client *clients;
static char filler[LONGEST_LINE], wrong[160], input[LONGEST_LINE + READ_AT_ONCE];
static uint64_t delivered, expected;
static uint32_t *latencies;

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void __attribute__((noreturn, format(printf, 1, 2))) give_up(const char *format, ...)
{
    va_list words;
    va_start(words, format);
    fputs("generator: ", stderr);
    vfprintf(stderr, format, words);
    fputc('\n', stderr);
    exit(2);
}

static void complain(const char *what, const char *line, size_t length)
{
    if (wrong[0])
        return;
    int used = snprintf(wrong, sizeof wrong, "%s: ", what);
    for (size_t i = 0; i < length && used < (int)sizeof wrong - 1; i++)
        wrong[used++] = line[i] >= ' ' && line[i] <= '~' && line[i] != '"' && line[i] != '\\' ? line[i] : '?';
    wrong[used] = 0;
}

#ifdef WITH_TLS
static SSL_CTX *context; /* NULL without TLS */

static void shake_hands(struct client *client)
{
    client->tls = SSL_new(context);
    if (!client->tls || !SSL_set_fd(client->tls, client->socket) || SSL_connect(client->tls) != 1)
        give_up("client %d has no TLS", client->number);
    fcntl(client->socket, F_SETFL, O_NONBLOCK);
}

static ssize_t write_secure(struct client *client, const char *bytes, size_t length)
{
    return SSL_write(client->tls, bytes, (int)length);
}

/* Reads whole records as long as there are any and one fits, so that none of them waits where no event tells of it. */
static ssize_t read_secure(struct client *client, char *bytes, size_t size)
{
    size_t total = 0;
    while (size - total >= RECORD) {
        int count = SSL_read(client->tls, bytes + total, (int)(size - total));
        if (count <= 0) {
            errno = SSL_get_error(client->tls, count) == SSL_ERROR_WANT_READ ? EAGAIN : ECONNRESET;
            return total ? (ssize_t)total : -1;
        }
        total += (size_t)count;
    }
    return (ssize_t)total;
}

static void use_tls(void)
{
    context = SSL_CTX_new(TLS_client_method());
    if (!context)
        give_up("no TLS");
}
#else
static void *context;

static void shake_hands(struct client *client) { (void)client; }

static ssize_t write_secure(struct client *client, const char *bytes, size_t length)
{
    (void)client, (void)bytes, (void)length;
    return -1;
}

static ssize_t read_secure(struct client *client, char *bytes, size_t size)
{
    (void)client, (void)bytes, (void)size;
    return -1;
}

static void use_tls(void) { give_up("compiled without TLS"); }
#endif

/* Small packets into an empty send buffer: what does not fit at once shows a server that does not read. */
static void put(struct client *client, const char *bytes, size_t length)
{
    ssize_t sent = client->tls ? write_secure(client, bytes, length)
                               : send(client->socket, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent != (ssize_t)length)
        give_up("client %d cannot send: %s", client->number, strerror(errno));
}

static void put_text(struct client *client, const char *format, int first, int second)
{
    char bytes[LONGEST_LINE];
    int length = snprintf(bytes, sizeof bytes, format, first, second);
    put(client, bytes, (size_t)length);
}

static void dial(struct client *client, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int on = 1;
    client->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(client->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(client->socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (unsigned)(client->number % ADDRESSES));
    if (client->socket < 0 || bind(client->socket, (struct sockaddr *)&address, sizeof address))
        give_up("no socket for client %d: %s", client->number, strerror(errno));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)port);
    if (connect(client->socket, (struct sockaddr *)&address, sizeof address))
        give_up("client %d cannot connect: %s", client->number, strerror(errno));
    if (context)
        shake_hands(client);
}

/* ---- lines ---- */

typedef int line_reader(struct client *, char *line, size_t length, uint64_t when);

/* Receives once and passes the complete lines on, until the reader returns 0. Returns what the reader returned last. */
static int receive(struct client *client, line_reader *reader)
{
    memcpy(input, client->line, client->held);
    ssize_t count = client->tls ? read_secure(client, input + client->held, READ_AT_ONCE)
                                : recv(client->socket, input + client->held, READ_AT_ONCE, MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return 1;
    if (count <= 0)
        give_up("the server closed client %d%s%s", client->number, count ? ": " : "", count ? strerror(errno) : "");
    uint64_t when = now();
    char *line = input, *end = input + client->held + count, *newline;
    int more = 1;
    while ((newline = memchr(line, '\n', (size_t)(end - line)))) {
        size_t length = (size_t)(newline - line);
        if (length && line[length - 1] == '\r')
            length--;
        line[length] = 0;
        if (!reader(client, line, length, when))
            more = 0;
        line = newline + 1;
    }
    client->held = (size_t)(end - line);
    if (client->held > sizeof client->line)
        give_up("client %d got a line without an end", client->number);
    memcpy(client->line, line, client->held);
    return more;
}

static const char *awaited;

static int until_awaited(struct client *client, char *line, size_t length, uint64_t when)
{
    (void)client, (void)length, (void)when;
    return !strstr(line, awaited);
}

static int until_accepted(struct client *client, char *line, size_t length, uint64_t when)
{
    client->is_logged_in |= !until_awaited(client, line, length, when);
    return !client->is_logged_in && !(wire->postponed && strstr(line, wire->postponed));
}

static int until_awaited_alone(struct client *client, char *line, size_t length, uint64_t when)
{
    if (!until_awaited(client, line, length, when))
        return 0;
    complain("too much", line, length);
    return 1;
}

static void wait_for(struct client *client, const char *words, line_reader *reader)
{
    awaited = words;
    do {
        struct pollfd ready = {client->socket, POLLIN, 0};
        if (poll(&ready, 1, PATIENCE) <= 0)
            give_up("client %d waits in vain for \"%s\"", client->number, words);
    } while (receive(client, reader));
}

static void synchronise(line_reader *reader)
{
    for (int i = 0; i < channels * members; i++) {
        put_text(&clients[i], wire->ping, 0, 0);
        wait_for(&clients[i], wire->pong, reader);
    }
}

/* ---- messages ---- */

static void put_hex(char *digits, int count, uint64_t value)
{
    for (int i = count - 1; i >= 0; i--, value >>= 4)
        digits[i] = "0123456789abcdef"[value & 15];
}

static uint64_t get_hex(const char *digits, int count)
{
    uint64_t value = 0;
    for (int i = 0; i < count; i++)
        value = value << 4 | (uint64_t)(digits[i] <= '9' ? digits[i] - '0' : digits[i] - 'a' + 10);
    return value;
}

static size_t add_message(struct client *sender, char *bytes, uint64_t when)
{
    char *at = bytes;
    memcpy(at, sender->say, sender->say_length), at += sender->say_length;
    put_hex(at, 8, sender->sent++);
    put_hex(at + 8, 16, when);
    memcpy(at + HEAD, filler, (size_t)text_bytes - HEAD), at += text_bytes;
    memcpy(at, wire->end, strlen(wire->end)), at += strlen(wire->end);
    return (size_t)(at - bytes);
}

static void fill_window(struct client *sender)
{
    char bytes[READ_AT_ONCE];
    size_t length = 0;
    while (sender->sent < messages && sender->sent - sender->seen_by_neighbour < (unsigned)window)
        length += add_message(sender, bytes + length, now());
    if (length)
        put(sender, bytes, length);
}

static struct client *sender_of(const struct client *receiver, const char *line)
{
    const char *name = wire->echoes ? line + strlen("RECV ") : line + 1;
    int number = name[0] == 'u' ? atoi(name + 1) : -1;
    if (number < 0 || number / members != receiver->number / members || number % members >= senders)
        return NULL;
    return &clients[number];
}

/* Tells whether what stands before the text is what the sender's messages have there. In irc the server adds
 * `!user@host` to the name. */
static int has_head(const struct client *sender, char *line, size_t length)
{
    if (wire->echoes)
        return length == sender->received_length && !memcmp(line, sender->received, length);
    char *mask = memchr(line, '!', length), *space = mask ? memchr(mask, ' ', length - (size_t)(mask - line)) : NULL;
    if (!space)
        return 0;
    size_t name = (size_t)(mask - line), rest = length - (size_t)(space - line);
    return name + rest == sender->received_length && !memcmp(line, sender->received, name) &&
           !memcmp(space, sender->received + name, rest);
}

static int take_message(struct client *receiver, char *line, size_t length, uint64_t when)
{
    if (!wire->echoes && !strncmp(line, "PING ", 5))
        return 1;
    size_t head = length - (size_t)text_bytes;
    char *text = line + head;
    struct client *sender = length > (size_t)text_bytes ? sender_of(receiver, line) : NULL;
    if (!sender || !has_head(sender, line, head) || memcmp(text + HEAD, filler, (size_t)text_bytes - HEAD)) {
        complain("altered", line, length);
        return 1;
    }
    int place = sender->number % members;
    unsigned sequence = (unsigned)get_hex(text, 8);
    if (sequence != receiver->next[place])
        complain(sequence < receiver->next[place] ? "repeated" : "lost or out of order", line, length);
    receiver->next[place] = sequence + 1;
    if (delivered < expected)
        latencies[delivered] = (uint32_t)((when - get_hex(text + 8, 16)) / 1000);
    delivered++;
    if (receiver->number % members == (place + 1) % members) {
        sender->seen_by_neighbour++;
        if (rate <= 0)
            fill_window(sender); /* at once, so that messages do not travel in bursts of a whole window */
    }
    return 1;
}

/* Sends what is due; the clock has ticked `due` times. */
static void keep_pace(unsigned *started, uint64_t due, uint64_t beginning)
{
    char bytes[LONGEST_LINE];
    unsigned all = messages * (unsigned)(senders * channels);
    for (; due && *started < all; due--, ++*started) {
        int which = (int)(*started % (unsigned)(senders * channels));
        struct client *sender = &clients[which / senders * members + which % senders];
        uint64_t when = beginning + (uint64_t)((*started + 1) * 1e9 / rate);
        put(sender, bytes, add_message(sender, bytes, when));
    }
}

static double run(void)
{
    int set = epoll_create1(EPOLL_CLOEXEC), clock = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct epoll_event events[256];
    unsigned started = 0;
    for (int i = 0; i < channels * members; i++)
        epoll_ctl(set, EPOLL_CTL_ADD, clients[i].socket, &(struct epoll_event){EPOLLIN, {.ptr = &clients[i]}});
    uint64_t beginning = now();
    if (rate > 0) {
        struct timespec interval = {(time_t)(1 / rate), (long)(1e9 / rate) % 1000000000};
        timerfd_settime(clock, 0, &(struct itimerspec){interval, interval}, NULL);
        epoll_ctl(set, EPOLL_CTL_ADD, clock, &(struct epoll_event){EPOLLIN, {.ptr = NULL}});
    } else {
        for (int i = 0; i < channels * members; i++)
            if (i % members < senders)
                fill_window(&clients[i]);
    }
    while (delivered < expected && !wrong[0]) {
        int count = epoll_wait(set, events, 256, PATIENCE);
        if (count <= 0) {
            complain("lost", "no delivery for a long time", 27);
            break;
        }
        for (int i = 0; i < count; i++) {
            struct client *client = events[i].data.ptr;
            uint64_t due;
            if (client) {
                receive(client, take_message);
            } else if (read(clock, &due, sizeof due) == sizeof due) {
                keep_pace(&started, due, beginning);
            }
        }
    }
    return (double)(now() - beginning) / 1e9;
}

static int by_value(const void *one, const void *other)
{
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return (a > b) - (a < b);
}

static unsigned percentile(double part)
{
    uint64_t count = delivered < expected ? delivered : expected;
    return count ? latencies[(uint64_t)(part * (double)(count - 1))] : 0;
}

static void prepare(struct client *client, int number)
{
    int channel = number / members;
    client->number = number;
    client->next = calloc((size_t)senders, sizeof *client->next);
    client->say_length = (size_t)sprintf(client->say, wire->say, channel);
    client->received_length = (size_t)sprintf(client->received, wire->received, number, channel);
}

static void join(struct client *client)
{
    int channel = client->number / members;
    if (wire->create && client->number % members == 0) {
        put_text(client, wire->create, channel, 0);
        wait_for(client, wire->created, until_awaited);
    }
    put_text(client, wire->join, channel, 0);
    wait_for(client, wire->joined, until_awaited);
}

/* One after the other, so that no queue of a listener overflows, but without waiting for a server that is busy with
 * its clients once a second. */
static void enter(int port)
{
    int all = channels * members;
    for (int i = 0; i < all; i++) {
        prepare(&clients[i], i);
        dial(&clients[i], port);
        put_text(&clients[i], wire->login, i, i);
        wait_for(&clients[i], wire->logged_in, until_accepted);
    }
    for (int i = 0; i < all; i++)
        if (!clients[i].is_logged_in)
            wait_for(&clients[i], wire->logged_in, until_awaited);
    for (int i = 0; i < all; i++)
        join(&clients[i]);
    synchronise(until_awaited);
}

int main(int count, char **words)
{
    if (count != 10)
        give_up("usage: generator WIRE PORT CHANNELS MEMBERS SENDERS MESSAGES WINDOW RATE BYTES");
    wire = &WIRES[strncmp(words[1], "irc", 3) == 0];
    if (strstr(words[1], "+tls"))
        use_tls();
    channels = atoi(words[3]), members = atoi(words[4]), senders = atoi(words[5]), messages = (unsigned)atoi(words[6]);
    window = atoi(words[7]), rate = atof(words[8]), text_bytes = atoi(words[9]);
    if (channels < 1 || members < 2 || senders < 1 || senders > members || messages < 1 || window < 1 ||
        text_bytes < HEAD || text_bytes > 400 || window > READ_AT_ONCE / LONGEST_LINE)
        give_up("a number is out of range");
    for (int i = 0; i < text_bytes - HEAD; i++)
        filler[i] = (char)('a' + i % 26);
    expected = (uint64_t)channels * (uint64_t)senders * messages * (uint64_t)(members - !wire->echoes);
    latencies = malloc(expected * sizeof *latencies);
    clients = calloc((size_t)(channels * members), sizeof *clients);
    if (!latencies || !clients)
        give_up("out of memory");
    enter(atoi(words[2]));
    puts("ready");
    fflush(stdout);
    getchar();
    double seconds = run();
    puts("done");
    fflush(stdout);
    if (!wrong[0])
        synchronise(until_awaited_alone);
    qsort(latencies, delivered < expected ? delivered : expected, sizeof *latencies, by_value);
    printf("{\"deliveries\": %llu, \"seconds\": %.6f, \"p50\": %u, \"p99\": %u, \"worst\": %u, \"wrong\": \"%s\"}\n",
           (unsigned long long)delivered, seconds, percentile(0.5), percentile(0.99), percentile(1), wrong);
    return wrong[0] != 0;
}

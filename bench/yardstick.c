/*
 * The yardstick of `make bench`: a server for the lines of the dialect `result` that does nothing but fan out.
 *
 *     yardstick PORT
 *
 * It checks no password, stores nothing and has no limits. One epoll loop reads from each ready client once, copies
 * each message into the buffers of the channel's members, and sends once to each of them at the end of the turn. So it
 * shows what the kernel leaves to any server of this kind on one core. It writes `ready` when it listens.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LONGEST_LINE = 8192, READ_AT_ONCE = 65536, NAME = 64, BUCKETS = 4096, CLIENTS = 65536 };

struct client {
    int socket, is_dirty, awaits_room;
    size_t held, waiting, size;
    char *output, name[NAME], line[LONGEST_LINE];
};

struct channel {
    struct channel *next;
    struct client **members;
    size_t count;
    char name[NAME];
};

static struct channel *buckets[BUCKETS];
static struct client *dirty[CLIENTS];
static size_t dirty_count;
static int set;

static void *checked(void *memory)
{
    if (!memory)
        exit(1);
    return memory;
}

static struct channel *find_channel(const char *name, size_t length)
{
    unsigned hash = 5381;
    for (size_t i = 0; i < length; i++)
        hash = hash * 33 + (unsigned char)name[i];
    struct channel **at = &buckets[hash % BUCKETS];
    for (; *at; at = &(*at)->next)
        if (!strncmp((*at)->name, name, length) && !(*at)->name[length])
            return *at;
    *at = checked(calloc(1, sizeof **at));
    memcpy((*at)->name, name, length);
    return *at;
}

static void append(struct client *client, const char *bytes, size_t length)
{
    if (client->waiting + length > client->size) {
        client->size = (client->waiting + length) * 2;
        client->output = checked(realloc(client->output, client->size));
    }
    memcpy(client->output + client->waiting, bytes, length);
    client->waiting += length;
    if (!client->is_dirty) {
        client->is_dirty = 1;
        dirty[dirty_count++] = client;
    }
}

static void answer(struct client *client, const char *command)
{
    char line[NAME];
    append(client, line, (size_t)snprintf(line, sizeof line, "RESULT %s 1\n", command));
}

static void say(struct client *client, const char *channel_name, size_t length, const char *text)
{
    char line[LONGEST_LINE + 2 * NAME];
    struct channel *channel = find_channel(channel_name, length);
    size_t bytes = (size_t)snprintf(line, sizeof line, "RECV %s %s %s\n", client->name, channel->name, text);
    for (size_t i = 0; i < channel->count; i++)
        append(channel->members[i], line, bytes);
}

static void join(struct client *client, struct channel *channel)
{
    channel->members = checked(realloc(channel->members, (channel->count + 1) * sizeof *channel->members));
    channel->members[channel->count++] = client;
}

static void obey(struct client *client, char *line)
{
    char *words = strchrnul(line, ' ');
    if (*words)
        *words++ = 0;
    size_t length = strcspn(words, " ");
    if (length >= NAME)
        return;
    if (!strcmp(line, "SAY")) {
        if (words[length])
            say(client, words, length, words + length + 1);
        return;
    }
    if (!strcmp(line, "LOGIN"))
        snprintf(client->name, NAME, "%.*s", (int)length, words);
    else if (!strcmp(line, "JOIN"))
        join(client, find_channel(words, length));
    answer(client, line);
}

static void leave(struct client *client)
{
    for (int i = 0; i < BUCKETS; i++)
        for (struct channel *channel = buckets[i]; channel; channel = channel->next)
            for (size_t m = 0; m < channel->count; m++)
                if (channel->members[m] == client)
                    channel->members[m--] = channel->members[--channel->count];
    for (size_t i = 0; i < dirty_count; i++)
        if (dirty[i] == client)
            dirty[i--] = dirty[--dirty_count];
    close(client->socket);
    free(client->output);
    free(client);
}

/* Returns 0 if the client has gone. */
static int receive(struct client *client)
{
    static char input[LONGEST_LINE + READ_AT_ONCE];
    memcpy(input, client->line, client->held);
    ssize_t count = recv(client->socket, input + client->held, READ_AT_ONCE, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return 1;
    if (count <= 0)
        return 0;
    char *line = input, *end = input + client->held + count, *newline;
    while ((newline = memchr(line, '\n', (size_t)(end - line)))) {
        *newline = 0;
        obey(client, line);
        line = newline + 1;
    }
    client->held = (size_t)(end - line);
    if (client->held > LONGEST_LINE)
        return 0;
    memcpy(client->line, line, client->held);
    return 1;
}

static void watch(struct client *client, int operation, int awaits_room)
{
    client->awaits_room = awaits_room;
    epoll_ctl(set, operation, client->socket, &(struct epoll_event){EPOLLIN | (awaits_room ? EPOLLOUT : 0), {.ptr = client}});
}

static void flush(struct client *client)
{
    ssize_t sent = send(client->socket, client->output, client->waiting, MSG_NOSIGNAL);
    if (sent > 0) {
        client->waiting -= (size_t)sent;
        memmove(client->output, client->output + sent, client->waiting);
    }
    if (client->awaits_room != (client->waiting > 0))
        watch(client, EPOLL_CTL_MOD, client->waiting > 0);
}

static void take_in(int listener)
{
    int on = 1, socket;
    while ((socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct client *client = checked(calloc(1, sizeof *client));
        client->socket = socket;
        setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(client, EPOLL_CTL_ADD, 0);
    }
}

static void turn(int listener)
{
    struct epoll_event events[1024];
    int count = epoll_wait(set, events, 1024, -1);
    for (int i = 0; i < count; i++) {
        struct client *client = events[i].data.ptr;
        if (!client)
            take_in(listener);
        else if (events[i].events & EPOLLOUT)
            flush(client);
        else if (!receive(client))
            leave(client);
    }
    for (size_t i = 0; i < dirty_count; i++) {
        dirty[i]->is_dirty = 0;
        flush(dirty[i]);
    }
    dirty_count = 0;
}

int main(int count, char **words)
{
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((uint16_t)(count > 1 ? atoi(words[1]) : 0));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) {
        perror("yardstick");
        return 1;
    }
    set = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(set, EPOLL_CTL_ADD, listener, &(struct epoll_event){EPOLLIN, {.ptr = NULL}});
    puts("ready");
    fflush(stdout);
    for (;;)
        turn(listener);
}

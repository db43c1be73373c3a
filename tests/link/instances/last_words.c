// SPDX-License-Identifier: ISC
// Programs that end while their last words are still under way (tests/link/last-words.sh).
//   last_words answer BYTES   answers the first who says something, and exits without closing
//   last_words unread BYTES   likewise, without having read all of what was said
//   last_words wait BYTES     likewise, and waits for a signal
//   last_words datagram ADDRESS PORT   sends one, to somebody never talked to, and exits
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int datagram(char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3]))};
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    inet_pton(AF_INET, argv[2], &to.sin_addr);
    return sendto(s, "farewell", 8, 0, (struct sockaddr *)&to, sizeof(to)) == 8 ? 4 : 1;
}

int main(int argc, char **argv)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(80)};
    int one = 1, client = -1, listener = socket(AF_INET, SOCK_STREAM, 0);
    char said[2];
    if (argc == 4)
        _exit(datagram(argv));
    size_t bytes = (size_t)atol(argv[2]);
    char *words = malloc(bytes);
    for (size_t i = 0; i < bytes; i++)
        words[i] = (char)('a' + i % 26);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(listener, (struct sockaddr *)&here, sizeof(here)) || listen(listener, 5))
        return 1;
    do { // those who only look whether somebody is there go away by themselves
        close(client);
        client = accept(listener, NULL, NULL);
    } while (recv(client, said, strcmp(argv[1], "unread") ? 2 : 1, MSG_WAITALL) <= 0);
    if (write(client, words, bytes) != (ssize_t)bytes)
        return 1;
    if (!strcmp(argv[1], "wait"))
        pause();
    _exit(3);
}

// SPDX-License-Identifier: ISC
// packet_memory N: sends 100,000 bytes to each of N peers at once, on sockets that block. Together
// that is more than the memory for packets.
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEERS_MAX 200

static unsigned char bytes[100000];

static void *writer(void *arg)
{
    int fd = (int)(long)arg;
    for (size_t n = 0; n < sizeof(bytes);) {
        ssize_t r = send(fd, bytes + n, sizeof(bytes) - n, MSG_NOSIGNAL);
        if (r <= 0) {
            perror("send");
            break;
        }
        n += (size_t)r;
    }
    close(fd);
    return NULL;
}

int main(int argc, char **argv)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(80)};
    int listener = socket(AF_INET, SOCK_STREAM, 0), peers = argc > 1 ? atoi(argv[1]) : 1;
    pthread_t threads[PEERS_MAX];
    pthread_attr_t attr;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(i % 251);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 16384);
    if (peers > PEERS_MAX || bind(listener, (struct sockaddr *)&a, sizeof(a)) ||
        listen(listener, PEERS_MAX))
        return 2;
    for (int i = 0; i < peers; i++) {
        long fd = accept(listener, NULL, NULL);
        if (fd < 0 || pthread_create(&threads[i], &attr, writer, (void *)fd))
            return 3;
    }
    for (int i = 0; i < peers; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

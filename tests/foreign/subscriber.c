/* A subscriber in C, by edge/PROTOCOL.md alone: prints the `seq` of every event, once and in order.
 *
 *   subscriber EVENTS REQUESTS START COUNT
 *
 * JSON is looked through for the few numbers that are needed: a program of your own has a parser.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define MAX_REPLY (8 << 20)

static char reply[MAX_REPLY + 1];
static char event[1 << 20];
static int64_t next_seq;
static int64_t left;

/* The number behind the first `name` in `text`; -1 where there is none. */
static int64_t number(const char* text, const char* name) {
  const char* found = strstr(text, name);
  return found ? strtoll(found + strlen(name), NULL, 10) : -1;
}

static void take(int64_t seq) {
  if (seq < next_seq || left == 0) return;
  printf("%" PRId64 "\n", seq);
  next_seq = seq + 1;
  left--;
}

/* Whether the daemon answered; what it has from `next_seq` on is then taken. */
static int replay(void* requests) {
  static int id = 0;
  char request[96];
  char expected[32];
  snprintf(request, sizeof request, "{\"v\":1,\"id\":%d,\"type\":\"replay\",\"start\":%" PRId64 "}",
           ++id, next_seq);
  snprintf(expected, sizeof expected, "\"id\":%d,", id);
  zmq_send(requests, request, strlen(request), 0);
  zmq_pollitem_t item = {requests, 0, ZMQ_POLLIN, 0};
  while (zmq_poll(&item, 1, 1000) > 0) {
    int size = zmq_recv(requests, reply, MAX_REPLY, 0);
    if (size < 0 || size > MAX_REPLY) exit(2);
    reply[size] = 0;
    char* events = strstr(reply, "\"events\":[");
    if (!events || !strstr(reply, expected)) continue;
    for (char* at = events; (at = strstr(at, "\"seq\":")) != NULL; at++)
      take(number(at, "\"seq\":"));
    return 1;
  }
  return 0;
}

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  next_seq = strtoll(argv[3], NULL, 10);
  left = strtoll(argv[4], NULL, 10);
  void* context = zmq_ctx_new();
  void* events = zmq_socket(context, ZMQ_SUB);
  void* requests = zmq_socket(context, ZMQ_DEALER);
  if (zmq_setsockopt(events, ZMQ_SUBSCRIBE, "", 0) || zmq_connect(events, argv[1]) ||
      zmq_connect(requests, argv[2])) {
    fprintf(stderr, "%s\n", zmq_strerror(zmq_errno()));
    return 1;
  }
  while (left > 0) {
    zmq_pollitem_t item = {events, 0, ZMQ_POLLIN, 0};
    if (zmq_poll(&item, 1, 500) == 0) {
      replay(requests);
      continue;
    }
    zmq_recv(events, event, sizeof event - 1, 0); /* the topic */
    int size = zmq_recv(events, event, sizeof event - 1, 0);
    if (size < 0 || size >= (int)sizeof event) continue;
    event[size] = 0;
    int64_t seq = number(event, "\"seq\":");
    while (left > 0 && next_seq < seq) replay(requests);
    take(seq);
  }
  fflush(stdout);
  zmq_close(events);
  zmq_close(requests);
  zmq_ctx_term(context);
  return 0;
}

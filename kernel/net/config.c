// SPDX-License-Identifier: ISC
// Addresses at start: what the boot configuration says (ip=ADDR/PREFIX, ip=dhcp, gw=, dns=).
#include "net/stack.h"

uint32_t net_dns[3];
static struct wait_queue configured = WAIT_QUEUE_INIT(configured);

static bool parse_ip(const char *s, uint32_t *ip, const char **end)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        uint64_t part;
        if (!lib_parse_u64(s, 10, &part, &s) || part > 255 || (i < 3 && *s++ != '.'))
            return false;
        v = v << 8 | (uint32_t)part;
    }
    *ip = v;
    *end = s;
    return true;
}

static int bad(const char *what, const char *text)
{
    log_error("network: %s=%s: not an IPv4 address%s", what, text,
              what[0] == 'i' ? " with a prefix length (10.0.2.15/24), and not \"dhcp\"" : "");
    return -EINVAL;
}

int net_configure(void)
{
    const struct boot_config *c = &boot_config;
    uint32_t ip, gw = 0;
    uint64_t prefix = 24;
    const char *end;
    for (unsigned i = 0; i < c->dns_count && i < 3; i++)
        if (!parse_ip(c->dns[i], &net_dns[i], &end) || *end)
            return bad("dns", c->dns[i]);
    if (!c->ip || !*c->ip)
        return 0;
    if (net_if_count < 2) {
        log_warn("network: ip=%s, but there is no network device", c->ip);
        return 0;
    }
    struct net_if *nif = &net_ifs[1];
    if (!strcmp(c->ip, "dhcp")) {
        net_lock();
        int err = dhcp_start(nif);
        net_unlock();
        return err;
    }
    if (!parse_ip(c->ip, &ip, &end))
        return bad("ip", c->ip);
    if (*end == '/' && (!lib_parse_u64(end + 1, 10, &prefix, &end) || prefix > 32))
        return bad("ip", c->ip);
    if (*end)
        return bad("ip", c->ip);
    if (c->gw && *c->gw) {
        if (!parse_ip(c->gw, &gw, &end) || (*end && *end != '/'))
            return bad("gw", c->gw);
    }
    return net_if_configure(nif->index, ip, (unsigned)prefix, gw);
}

void net_configured_wake(void)
{
    wait_wake_all(&configured, EPOLLIN);
}

int net_wait_configured(uint64_t timeout_ns)
{
    struct net_if *nif = &net_ifs[1];
    if (net_if_count < 2 || !nif->dhcp)
        return 0;
    return wait_event(&configured, nif->ip, clock_monotonic_ns() + timeout_ns, false);
}
INIT_RECORD(INIT_ADDRESSES, net_configure, net_configured_wake);

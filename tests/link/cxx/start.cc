// SPDX-License-Identifier: ISC
// The order in which global objects are made and ended, with atexit and thread-local ones in
// between.
#include <cstdio>
#include <cstdlib>
#include <string>

namespace
{

struct global {
    explicit global(const char *n) : name(n)
    {
        std::printf("+%s\n", n);
    }
    global(const global &) = delete;
    global &operator=(const global &) = delete;
    ~global()
    {
        std::printf("-%s\n", name);
    }
    const char *name;
};

global first("first"), second("second");
global late __attribute__((init_priority(2000))) ("priority 2000");
global early __attribute__((init_priority(200))) ("priority 200");
thread_local global local("thread_local");
inline global shared("inline");
std::string text = std::string("text made ") + "at the start";

global &function_static()
{
    static global g("function static");
    return g;
}

__attribute__((constructor)) void constructor()
{
    std::puts("constructor function");
}
__attribute__((destructor)) void destructor()
{
    std::puts("destructor function");
}

} // namespace

int main(int argc, char **)
{
    std::puts(text.c_str());
    std::atexit([] { std::puts("atexit 1"); });
    function_static();
    function_static();
    std::atexit([] { std::puts("atexit 2"); });
    std::printf("%s\n", local.name);
    std::at_quick_exit([] { std::puts("at_quick_exit"); });
    global automatic("automatic");
    if (argc > 1) {
        std::fflush(stdout);
        std::quick_exit(6);
    }
    std::exit(5); // ends what is static, not what is automatic
}

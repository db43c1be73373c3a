// SPDX-License-Identifier: ISC
// Exceptions: through frames, by base class, again and nested, kept and passed between threads.
// With an argument: those that nobody catches. And run-time types.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <typeinfo>
#include <vector>

namespace
{

struct tracer {
    explicit tracer(const char *n) : name(n)
    {
    }
    tracer(const tracer &) = delete;
    tracer &operator=(const tracer &) = delete;
    ~tracer()
    {
        std::printf("  ~%s, %d in flight\n", name, std::uncaught_exceptions());
    }
    const char *name;
};

int deep(int n)
{
    tracer t(n % 2 ? "odd" : "even");
    std::string text(100, 'x'); // something that has to be freed on the way
    if (n == 0)
        throw std::invalid_argument("the bottom is reached");
    return deep(n - 1) + static_cast<int>(text.size());
}

struct base {
    virtual ~base() = default;
    virtual const char *what_am_i() const
    {
        return "base";
    }
};
struct left : virtual base {
    const char *what_am_i() const override
    {
        return "left";
    }
    long padding[3] = {1, 2, 3};
};
struct right : virtual base {
    int value = 42;
};
struct both : left, right {
    const char *what_am_i() const override
    {
        return "both";
    }
};

void again()
{
    try {
        try {
            throw both();
        } catch (left &l) {
            std::printf("inner catch: %s\n", l.what_am_i());
            throw;
        }
    } catch (const right &r) {
        std::printf("outer catch: %d %s\n", r.value, r.what_am_i());
    }
    try {
        throw 17;
    } catch (const char *) {
        std::puts("wrong");
    } catch (int i) {
        std::printf("an int: %d\n", i);
    }
    try {
        throw std::unique_ptr<int>(new int(5));
    } catch (...) {
        std::puts("anything");
    }
}

void print_nested(const std::exception &e, int level)
{
    std::printf("%*s%s\n", 2 * level, "", e.what());
    try {
        std::rethrow_if_nested(e);
    } catch (const std::exception &inner) {
        print_nested(inner, level + 1);
    }
}

void nested()
{
    try {
        try {
            try {
                std::string("abc").at(7);
            } catch (...) {
                std::throw_with_nested(std::runtime_error("reading"));
            }
        } catch (...) {
            std::throw_with_nested(std::system_error(
                std::make_error_code(std::errc::no_such_file_or_directory), "opening"));
        }
    } catch (const std::exception &e) {
        print_nested(e, 1);
    }
}

struct member {
    explicit member(bool fail)
    {
        if (fail)
            throw std::domain_error("member");
    }
    ~member()
    {
        std::puts("  ~member");
    }
};
struct owner {
    owner()
    try : first(false), second(true) {
        std::puts("wrong");
    } catch (const std::domain_error &e) {
        std::printf("constructor's catch: %s\n", e.what());
    }
    member first, second;
};

void constructors()
{
    try {
        owner o;
    } catch (const std::logic_error &e) {
        std::printf("and outside: %s\n", e.what());
    }
    try {
        std::vector<std::string> v(static_cast<std::size_t>(-1) / 16);
    } catch (const std::length_error &e) {
        std::printf("length_error: %s\n", e.what());
    }
}

// The libc's own functions that call back.
void through_libc()
{
    int numbers[] = {5, 3, 9, 1};
    try {
        std::qsort(numbers, 4, sizeof(int),
                   [](const void *, const void *) -> int { throw "qsort"; });
    } catch (const char *s) {
        std::printf("through %s\n", s);
    }
    try {
        std::bsearch(numbers, numbers, 4, sizeof(int),
                     [](const void *, const void *) -> int { throw "bsearch"; });
    } catch (const char *s) {
        std::printf("through %s\n", s);
    }
    std::qsort(numbers, 4, sizeof(int), [](const void *a, const void *b) {
        return *static_cast<const int *>(a) - *static_cast<const int *>(b);
    });
    std::printf("%d %d %d %d\n", numbers[0], numbers[1], numbers[2], numbers[3]);
}

void between_threads()
{
    std::exception_ptr kept;
    std::thread t([&] {
        try {
            deep(2);
        } catch (...) {
            kept = std::current_exception();
        }
    });
    t.join();
    for (int i = 0; i < 2; i++) {
        try {
            std::rethrow_exception(kept);
        } catch (const std::invalid_argument &e) {
            std::printf("from another thread: %s\n", e.what());
        }
    }
    // Many at once: the unwinder's own locks and caches.
    std::vector<std::thread> all;
    int caught[8] = {};
    for (int &count : caught)
        all.emplace_back([&count] {
            for (int i = 0; i < 2000; i++) {
                try {
                    i % 2 ? throw i : throw std::to_string(i);
                } catch (int) {
                    count++;
                } catch (const std::string &s) {
                    count += s == std::to_string(i);
                }
            }
        });
    int sum = 0;
    for (auto &a : all)
        a.join();
    for (int count : caught)
        sum += count;
    std::printf("%d caught by 8 threads\n", sum);
}

void types()
{
    std::unique_ptr<base> b(new both), l(new left);
    std::printf("cross cast: %d\n", dynamic_cast<right *>(b.get())->value);
    std::printf("no such part: %d\n", dynamic_cast<right *>(l.get()) == nullptr);
    std::printf("whole: %d\n", dynamic_cast<void *>(b.get()) ==
                                   static_cast<both *>(dynamic_cast<both *>(b.get())));
    std::printf("%s %s %d\n", typeid(*b).name(), typeid(int[3]).name(), typeid(*b) == typeid(both));
    try {
        dynamic_cast<right &>(*l).value++;
    } catch (const std::bad_cast &e) {
        std::printf("bad cast: %s\n", e.what());
    }
    try {
        base *none = nullptr;
        std::puts(typeid(*none).name());
    } catch (const std::bad_typeid &e) {
        std::printf("bad typeid: %s\n", e.what());
    }
}

int silent() noexcept
{
    return deep(0);
}

int fatal(const char *how)
{
    if (!std::strcmp(how, "uncaught"))
        deep(1);
    if (!std::strcmp(how, "thread"))
        std::thread([] { throw std::runtime_error("in a thread"); }).join();
    if (!std::strcmp(how, "noexcept"))
        silent();
    if (!std::strcmp(how, "handler")) {
        std::set_terminate([] {
            std::puts("the program's own handler");
            std::fflush(stdout);
            std::_Exit(9);
        });
        throw 1;
    }
    return 1;
}

} // namespace

int main(int argc, char **argv)
{
    std::setvbuf(stdout, nullptr, _IOLBF, 0); // in order with standard error
    if (argc > 1)
        return fatal(argv[1]);
    try {
        deep(3);
    } catch (const std::logic_error &e) {
        std::printf("caught: %s\n", e.what());
    }
    again();
    nested();
    constructors();
    through_libc();
    between_threads();
    types();
    return 3;
}

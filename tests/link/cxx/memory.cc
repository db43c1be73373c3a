// SPDX-License-Identifier: ISC
// operator new where there is not enough: bad_alloc, its handler, and going on afterwards.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

int main(int, char **argv)
{
    const std::size_t much = std::strtoull(argv[1], nullptr, 0);
    void *volatile seen; // or the compiler leaves out what is made for nothing
    try {
        std::unique_ptr<char[]> p(new char[much]);
        seen = p.get();
        std::puts("wrong");
    } catch (const std::bad_alloc &e) {
        std::printf("new: %s\n", e.what());
    }
    char *none = new (std::nothrow) char[much];
    seen = none;
    std::printf("nothrow: %d\n", seen == nullptr);
    static int handled;
    std::set_new_handler([] {
        if (++handled == 3)
            throw std::bad_alloc();
    });
    try {
        std::vector<char> v(much);
        std::puts("wrong");
    } catch (const std::bad_alloc &) {
        std::printf("handler called %d times\n", handled);
    }
    std::set_new_handler(nullptr);
    try {
        seen = new long long[SIZE_MAX / much * much]; // beyond what a size can be
        std::puts("wrong");
    } catch (const std::bad_array_new_length &e) {
        std::printf("array: %s\n", e.what());
    }
    struct alignas(4096) page {
        char bytes[4096];
    };
    auto aligned = std::make_unique<page>();
    std::printf("aligned: %d\n", reinterpret_cast<std::uintptr_t>(aligned.get()) % 4096 == 0);
    std::vector<std::unique_ptr<int[]>> some;
    for (int i = 0; i < 1000; i++)
        some.emplace_back(new int[100]);
    std::printf("and on it goes: %zu\n", some.size());
}

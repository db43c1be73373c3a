// SPDX-License-Identifier: ISC
// Containers, algorithms, strings, regular expressions, and what else the library has without the
// system.
#include <algorithm>
#include <any>
#include <array>
#include <bitset>
#include <cmath>
#include <complex>
#include <deque>
#include <forward_list>
#include <functional>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <memory_resource>
#include <numeric>
#include <optional>
#include <queue>
#include <random>
#include <ranges>
#include <regex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

namespace
{

template <class C> void show(const char *name, const C &c)
{
    std::cout << name << ':';
    for (const auto &x : c)
        std::cout << ' ' << x;
    std::cout << '\n';
}

void sequences()
{
    std::vector<int> v(20);
    std::iota(v.begin(), v.end(), 1);
    std::mt19937 random(1234);
    std::shuffle(v.begin(), v.end(), random);
    show("shuffled", v);
    std::sort(v.begin(), v.end(), std::greater<>());
    show("sorted", v);
    v.erase(std::remove_if(v.begin(), v.end(), [](int x) { return x % 3 == 0; }), v.end());
    show("erased", v);
    std::deque<std::string> d{"b", "c"};
    d.push_front("a");
    d.insert(d.end(), 3, "z");
    show("deque", d);
    std::list<double> l{3.5, 1.25, 2};
    l.sort();
    l.splice(l.begin(), std::list<double>{0.5});
    show("list", l);
    std::forward_list<int> f{1, 2, 3};
    f.reverse();
    show("forward_list", f);
    std::priority_queue<int> q(v.begin(), v.end());
    std::cout << "top " << q.top() << ", sum " << std::accumulate(v.begin(), v.end(), 0) << '\n';
    std::array<int, 4> a{4, 3, 2, 1};
    std::next_permutation(a.begin(), a.end());
    show("permutation", std::span(a).subspan(1));
    for (int x : std::views::iota(1, 30) | std::views::filter([](int i) { return i % 7 == 0; }) |
                     std::views::transform([](int i) { return i * i; }))
        std::cout << x << ' ';
    std::cout << std::bitset<12>(0xa5f) << '\n';
}

void associations()
{
    std::map<std::string, int> m;
    for (const char *w : {"one", "two", "three", "two", "one", "two"})
        m[w]++;
    for (const auto &[word, count] : m)
        std::cout << word << '=' << count << ' ';
    std::unordered_map<int, std::string> h;
    for (int i = 0; i < 10000; i++)
        h.emplace(i * 7919 % 10007, std::to_string(i));
    std::cout << h.size() << ' ' << h.at(7919) << ' ' << h.count(10006) << '\n';
    std::multiset<int> s{5, 1, 5, 3};
    std::unordered_set<std::string_view> u{"x", "y", "x"};
    std::cout << s.count(5) << ' ' << *s.lower_bound(2) << ' ' << u.size() << ' '
              << std::hash<std::string>()("lith") << '\n';
}

void strings()
{
    std::string s = "The quick brown fox";
    s.replace(s.find("quick"), 5, "slow").append(" sleeps");
    std::cout << s << ' ' << s.rfind('o') << ' ' << s.substr(4, 4) << ' ' << std::stod("2.5e3")
              << ' ' << std::stol("-7f", nullptr, 16) << ' ' << std::to_string(1.0 / 3) << '\n';
    std::u32string wide = U"h\u00e4";
    std::cout << wide.size() << ' ' << std::string_view(s).ends_with("sleeps") << '\n';
    std::regex date(R"((\d{4})-(\d\d)-(\d\d))");
    std::string text = "from 2024-01-31 to 2025-12-01";
    for (std::sregex_iterator i(text.begin(), text.end(), date), end; i != end; ++i)
        std::cout << (*i)[3] << '.' << (*i)[2] << '.' << (*i)[1] << ' ';
    std::cout << std::regex_replace(text, date, "[$1]") << ' '
              << std::regex_match("AbC", std::regex("[a-c[:digit:]]+", std::regex::icase)) << '\n';
    try {
        std::regex broken("a(b");
    } catch (const std::regex_error &e) {
        std::cout << "regex_error: " << e.what() << '\n';
    }
}

void values()
{
    std::variant<int, std::string, double> v = "text";
    std::cout << v.index() << ' '
              << std::visit(
                     [](const auto &x) {
                         if constexpr (requires { x.size(); })
                             return x.size();
                         else
                             return sizeof(x);
                     },
                     v)
              << '\n';
    try {
        (void)std::get<int>(v);
    } catch (const std::bad_variant_access &e) {
        std::cout << e.what() << '\n';
    }
    std::optional<int> o;
    std::any a = std::string("any");
    std::cout << o.value_or(6) << ' ' << std::any_cast<std::string>(a) << '\n';
    try {
        std::cout << o.value() << std::any_cast<int>(a);
    } catch (const std::exception &e) {
        std::cout << e.what() << '\n';
    }
    std::function<int(int)> fib = [&](int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); };
    auto shared = std::make_shared<std::vector<int>>(3, 7);
    std::weak_ptr<std::vector<int>> weak = shared;
    std::cout << fib(20) << ' ' << weak.use_count() << ' ';
    shared.reset();
    std::cout << weak.expired() << ' ' << std::complex<double>(1, 2) * std::complex<double>(0, 1)
              << ' ' << std::gcd(84, 36) << ' ' << std::tgamma(5.0) << ' ' << std::riemann_zeta(2.0)
              << '\n';
    std::array<std::byte, 512> room;
    std::pmr::monotonic_buffer_resource pool(room.data(), room.size(),
                                             std::pmr::null_memory_resource());
    std::pmr::vector<int> small({1, 2, 3}, &pool);
    try {
        small.resize(1000);
    } catch (const std::bad_alloc &e) {
        std::cout << "pool: " << e.what() << ' ' << small.size() << '\n';
    }
}

} // namespace

int main()
{
    sequences();
    associations();
    strings();
    values();
}

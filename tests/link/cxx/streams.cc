// SPDX-License-Identifier: ISC
// Streams, numbers as text, and locales: "C" and "POSIX" are there, others are refused.
#include <charconv>
#include <clocale>
#include <ctime>
#include <iomanip>
#include <iostream>
#include <limits>
#include <locale>
#include <sstream>
#include <stdexcept>
#include <string>

namespace
{

void numbers()
{
    const double values[] = {0,
                             1,
                             -0.1,
                             1.0 / 3,
                             6.02214076e23,
                             5e-324,
                             1e21,
                             123456.5,
                             2.5,
                             1e-5,
                             std::numeric_limits<double>::max(),
                             std::numeric_limits<double>::infinity()};
    for (double v : values) {
        std::cout << v << ' ' << std::fixed << std::setprecision(3) << v << ' ' << std::scientific
                  << v << ' ' << std::hexfloat << (v < 1e-300 ? 0 : v) << std::defaultfloat
                  << std::setprecision(17) << ' ' << v << std::setprecision(6);
        char text[64];
        auto end = std::to_chars(text, text + sizeof(text), v);
        double back = -1;
        std::from_chars(text, end.ptr, back);
        std::cout << ' ' << std::string(text, end.ptr) << ' ' << (back == v) << '\n';
    }
    std::cout << 1.0L / 3 << ' ' << std::setprecision(20) << 1.0L / 3 << std::setprecision(6) << ' '
              << 0.1f << '\n';
    std::cout << std::showbase << std::hex << 255 << ' ' << std::oct << 8 << std::dec
              << std::noshowbase << ' ' << std::setw(8) << std::setfill('*') << std::left << 42
              << std::right << std::setw(8) << -42 << ' ' << std::internal << std::setw(8) << -42
              << std::setfill(' ') << ' ' << std::showpos << 7 << std::noshowpos << ' '
              << std::boolalpha << true << ' ' << std::quoted("a \"b\"") << '\n';
    std::cout << std::numeric_limits<long long>::min() << ' ' << 18446744073709551615ull << ' '
              << static_cast<const void *>(nullptr) << ' ' << '\x41' << '\n';
}

void reading()
{
    std::istringstream in("42 0x1f 3.5e2 word true  -7 99999999999999999999 x");
    int i, hex;
    double d;
    std::string word;
    bool b;
    in >> i >> std::hex >> hex >> std::dec >> d >> word >> std::boolalpha >> b;
    std::cout << i << ' ' << hex << ' ' << d << ' ' << word << ' ' << b << '\n';
    in >> i;
    std::cout << i << ' ';
    in >> i; // does not fit
    std::cout << i << ' ' << in.fail() << in.eof() << in.bad() << '\n';
    in.clear();
    in >> i;
    std::cout << in.fail() << '\n';
    in.clear();
    in.exceptions(std::ios::failbit);
    try {
        in >> i;
    } catch (const std::ios_base::failure &e) {
        std::cout << "failure: " << e.what() << ' ' << e.code().category().name() << '\n';
    }
    std::istringstream lines("first\nsecond;third");
    std::getline(lines, word);
    std::cout << word << '|';
    std::getline(lines, word, ';');
    std::cout << word << '|' << lines.tellg() << '|' << static_cast<char>(lines.peek()) << '\n';
    std::ostringstream out;
    out << std::setw(5) << "r" << std::left << std::setw(5) << "l" << '|' << std::ends;
    std::cout << out.str().size() << ' ' << out.tellp() << '\n';
}

void locales()
{
    std::cout << std::locale().name() << ' ' << std::locale::classic().name() << ' '
              << std::locale("POSIX").name() << ' ' << (std::locale("C") == std::locale::classic())
              << '\n';
    try {
        std::locale l("xx_XX.UTF-8");
        std::cout << "made " << l.name() << '\n';
    } catch (const std::runtime_error &) {
        std::cout << "no such locale\n";
    }
    const auto &ctype = std::use_facet<std::ctype<char>>(std::locale());
    std::cout << ctype.is(std::ctype_base::alpha, 'q') << ctype.is(std::ctype_base::digit, 'q')
              << ctype.is(std::ctype_base::space, '\t') << ctype.toupper('q')
              << std::isalpha('\xe4', std::locale()) << '\n';
    const auto &punct = std::use_facet<std::numpunct<char>>(std::locale());
    std::cout << punct.decimal_point() << punct.grouping().size() << punct.truename() << '\n';
    struct german : std::numpunct<char> {
        char do_decimal_point() const override
        {
            return ',';
        }
        char do_thousands_sep() const override
        {
            return '.';
        }
        std::string do_grouping() const override
        {
            return "\3";
        }
    };
    std::ostringstream out;
    out.imbue(std::locale(std::locale(), new german));
    out << std::fixed << 1234567.891;
    std::cout << out.str() << '\n';
    std::tm t{};
    t.tm_year = 124, t.tm_mon = 1, t.tm_mday = 29, t.tm_wday = 4, t.tm_hour = 13;
    std::cout << std::put_time(&t, "%Y-%m-%d %H:%M:%S %A %b %c|%x|%X|%p") << '\n';
    std::istringstream in("2025-March-07");
    in >> std::get_time(&t, "%Y-%B-%d");
    std::cout << in.fail() << ' ' << t.tm_year << ' ' << t.tm_mon << ' ' << t.tm_mday << '\n';
    out.str("");
    out.imbue(std::locale::classic());
    out << std::put_money(1234.0L) << ' ' << std::showbase << std::put_money("-56");
    std::cout << out.str() << '\n';
    const auto &order = std::use_facet<std::collate<char>>(std::locale());
    const std::string a = "Zebra", b = "apple";
    std::cout << order.compare(&a[0], &a[0] + a.size(), &b[0], &b[0] + b.size()) << '\n';
}

void wide()
{
    std::wostringstream out;
    out << L"wide " << 3.25 << L' ' << std::hex << 48879 << L' ' << std::setw(6) << L"x";
    std::wstring w = out.str();
    std::cout << w.size() << ' ' << std::string(w.begin(), w.end()) << '\n';
    std::wistringstream in(L"17 rest");
    int i;
    in >> i >> w;
    std::cout << i << ' ' << w.size() << ' ' << std::stoi(L"-12") << ' '
              << (std::to_wstring(5) == L"5") << '\n';
}

} // namespace

int main()
{
    numbers();
    reading();
    locales();
    wide();
    std::cerr << "standard error\n";
    std::clog << "log" << std::endl;
    int none;
    std::cin >> none;
    std::cout << "end of input: " << std::cin.eof() << std::endl;
}

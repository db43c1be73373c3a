// SPDX-License-Identifier: ISC
// std::filesystem and file streams, in a folder of their own below /tmp.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace
{

void streams(const fs::path &dir)
{
    {
        std::ofstream out(dir / "numbers");
        for (int i = 0; i < 20000; i++)
            out << i << ' ' << i * 0.5 << '\n';
        std::cout << out.good() << ' ' << out.tellp() << '\n';
    }
    std::ifstream in(dir / "numbers");
    long sum = 0;
    double half = 0, d;
    for (int i; in >> i >> d;)
        sum += i, half += d;
    std::cout << sum << ' ' << half << ' ' << in.eof() << '\n';
    in.clear();
    in.seekg(-6, std::ios::end);
    std::string last;
    std::getline(in, last);
    std::cout << last << '\n';
    std::fstream both(dir / "binary",
                      std::ios::in | std::ios::out | std::ios::trunc | std::ios::binary);
    std::vector<char> block(100000);
    for (std::size_t i = 0; i < block.size(); i++)
        block[i] = static_cast<char>(i * 31);
    both.write(block.data(), static_cast<std::streamsize>(block.size()));
    both.seekp(5000);
    both.write("marker", 6);
    both.seekg(4998);
    char got[11] = {};
    both.read(got, 10);
    std::cout << (got[0] == static_cast<char>(4998 * 31)) << std::string(got + 2, 6) << '\n';
    std::ofstream(dir / "numbers", std::ios::app) << "appended";
    std::cout << fs::file_size(dir / "numbers") << '\n';
    std::ifstream missing(dir / "missing");
    std::cout << missing.is_open() << missing.fail() << '\n';
    std::ofstream buffered;
    char room[16];
    buffered.rdbuf()->pubsetbuf(room, sizeof(room));
    buffered.open(dir / "small");
    buffered << std::setw(40) << "x" << std::flush;
    std::cout << fs::file_size(dir / "small") << '\n';
}

void tree(const fs::path &dir)
{
    fs::create_directories(dir / "a" / "b" / "c");
    std::ofstream(dir / "a" / "file.txt") << "contents";
    fs::copy_file(dir / "a" / "file.txt", dir / "a" / "b" / "copy.txt");
    fs::create_symlink("file.txt", dir / "a" / "link");
    fs::create_hard_link(dir / "a" / "file.txt", dir / "a" / "hard");
    std::vector<std::string> names;
    for (const auto &e : fs::recursive_directory_iterator(dir / "a"))
        names.push_back(fs::relative(e.path(), dir).string() + (e.is_directory() ? "/"
                                                                : e.is_symlink() ? "@"
                                                                                 : ""));
    std::sort(names.begin(), names.end());
    for (const auto &n : names)
        std::cout << n << ' ';
    std::cout << '\n'
              << fs::read_symlink(dir / "a" / "link") << ' '
              << fs::hard_link_count(dir / "a" / "hard") << ' '
              << fs::equivalent(dir / "a" / "hard", dir / "a" / "file.txt") << ' '
              << fs::relative(fs::canonical(dir / "a" / "b" / ".." / "link"), fs::canonical(dir))
              << '\n';
    fs::permissions(dir / "a" / "file.txt", fs::perms::owner_read);
    std::cout << std::oct << static_cast<int>(fs::status(dir / "a" / "file.txt").permissions())
              << std::dec << '\n';
    fs::copy(dir / "a", dir / "z", fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    fs::rename(dir / "z" / "b", dir / "moved");
    fs::resize_file(dir / "moved" / "copy.txt", 3);
    std::cout << fs::exists(dir / "z" / "b") << fs::is_symlink(dir / "z" / "link")
              << fs::file_size(dir / "moved" / "copy.txt") << ' '
              << fs::is_empty(dir / "moved" / "c") << '\n';
    auto when = fs::last_write_time(dir / "moved");
    fs::last_write_time(dir / "moved", when - std::chrono::hours(5));
    std::cout << (fs::last_write_time(dir / "moved") == when - std::chrono::hours(5)) << '\n';
    try {
        fs::remove(dir / "a");
    } catch (const fs::filesystem_error &e) {
        std::cout << e.code().message() << ' ' << (e.path1() == dir / "a") << '\n';
    }
    std::error_code ec;
    (void)fs::file_size(dir / "none", ec);
    std::cout << ec.value() << ' ' << (ec == std::errc::no_such_file_or_directory) << ' '
              << (fs::space(dir).capacity > 0) << '\n';
    fs::current_path(dir);
    std::cout << fs::exists("moved") << ' ' << fs::path("/usr/../x//y.tar.gz").lexically_normal()
              << ' ' << fs::path("/x/y.tar.gz").extension() << ' ' << fs::path("a") / "/b" << '\n';
    fs::current_path("/");
}

} // namespace

int main()
{
    const fs::path dir = fs::temp_directory_path() / "lith-cxx-files";
    fs::remove_all(dir);
    fs::create_directory(dir);
    streams(dir);
    tree(dir);
    std::cout << fs::remove_all(dir) << ' ' << fs::exists(dir) << '\n';
}

// SPDX-License-Identifier: ISC
// Threads and what they wait on; thread-local objects; clocks.
#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <future>
#include <iostream>
#include <latch>
#include <memory>
#include <mutex>
#include <numeric>
#include <semaphore>
#include <shared_mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace
{

using namespace std::chrono_literals;

std::atomic<int> made, ended;
struct local {
    local()
    {
        made++;
    }
    ~local()
    {
        ended++;
    }
    int value = 1;
};
thread_local local mine;
thread_local std::string text = "initial";

void queue()
{
    std::mutex m;
    std::condition_variable more;
    std::deque<int> items;
    bool done = false;
    long sum = 0;
    std::thread consumer([&] {
        std::unique_lock lock(m);
        for (;;) {
            more.wait(lock, [&] { return done || !items.empty(); });
            if (items.empty())
                return;
            sum += items.front();
            items.pop_front();
        }
    });
    std::vector<std::thread> producers;
    for (int p = 0; p < 4; p++)
        producers.emplace_back([&, p] {
            for (int i = 0; i < 1000; i++) {
                std::lock_guard lock(m);
                items.push_back(p * 1000 + i);
                more.notify_one();
            }
        });
    for (auto &p : producers)
        p.join();
    {
        std::lock_guard lock(m);
        done = true;
    }
    more.notify_all();
    consumer.join();
    std::cout << "queue: " << sum << '\n';
}

void locals()
{
    std::vector<std::thread> all;
    std::atomic<int> initial{0};
    for (int i = 0; i < 5; i++)
        all.emplace_back([&, i] {
            mine.value += i;
            initial += text == "initial";
            text = "changed";
        });
    for (auto &t : all)
        t.join();
    std::cout << "thread_local: " << made << ' ' << ended << ' ' << initial << ' ' << mine.value
              << ' ' << text << '\n';
}

void futures()
{
    auto slow = std::async(std::launch::async, [] {
        std::this_thread::sleep_for(20ms);
        return std::string("async");
    });
    std::cout << (slow.wait_for(0s) == std::future_status::timeout) << slow.get() << ' ';
    auto lazy = std::async(std::launch::deferred, [] { return 6 * 7; });
    std::cout << (lazy.wait_for(0s) == std::future_status::deferred) << lazy.get() << ' ';
    auto fails =
        std::async(std::launch::async, []() -> int { throw std::out_of_range("in async"); });
    try {
        fails.get();
    } catch (const std::out_of_range &e) {
        std::cout << e.what() << ' ';
    }
    std::promise<int> p;
    auto shared = p.get_future().share();
    std::thread([&p] { p.set_value_at_thread_exit(8); }).detach();
    std::cout << shared.get() + shared.get() << ' ';
    try {
        std::future<int> broken = std::promise<int>().get_future();
        broken.get();
    } catch (const std::future_error &e) {
        std::cout << e.code().message() << ' ';
    }
    std::packaged_task<int(int)> task([](int x) { return x + 1; });
    auto result = task.get_future();
    std::thread(std::move(task), 9).join();
    std::cout << result.get() << '\n';
}

void newer()
{
    std::latch ready(3);
    std::counting_semaphore<10> slots(0);
    std::barrier round(3);
    std::atomic<int> word{0}, released{0};
    std::vector<std::jthread> all;
    for (int i = 0; i < 3; i++)
        all.emplace_back([&] {
            ready.count_down();
            word.wait(0);
            for (int r = 0; r < 10; r++)
                round.arrive_and_wait();
            released++;
            slots.release();
        });
    ready.wait();
    word = 1;
    word.notify_all();
    for (int i = 0; i < 3; i++)
        slots.acquire();
    std::cout << "released " << released << ' ' << slots.try_acquire_for(5ms) << '\n';
    std::jthread waits([](std::stop_token stop) {
        std::mutex m;
        std::condition_variable_any cv;
        std::unique_lock lock(m);
        cv.wait(lock, stop, [] { return false; });
        std::cout << "stopped " << stop.stop_requested() << '\n';
    });
    waits.request_stop();
    waits.join();
}

void others()
{
    std::once_flag once;
    int calls = 0;
    for (int i = 0; i < 3; i++) {
        try {
            std::call_once(once, [&] {
                if (++calls == 1)
                    throw 1;
            });
        } catch (int) {
            std::cout << "call_once again\n";
        }
    }
    std::shared_mutex rw;
    std::shared_lock one(rw), two(rw);
    std::cout << calls << ' ' << rw.try_lock() << ' ';
    std::timed_mutex timed;
    timed.lock();
    bool got = true;
    std::thread([&] { got = timed.try_lock_for(10ms); }).join();
    timed.unlock();
    std::recursive_mutex r;
    std::scoped_lock both(r, timed);
    std::cout << got << ' ' << r.try_lock() << '\n';
    r.unlock();
    std::atomic<long> count{0};
    std::vector<std::thread> all;
    for (int i = 0; i < 8; i++)
        all.emplace_back([&] {
            for (int k = 0; k < 10000; k++)
                count.fetch_add(1, std::memory_order_relaxed);
        });
    for (auto &t : all)
        t.join();
    std::shared_ptr<int> p = std::make_shared<int>(1);
    std::atomic<std::shared_ptr<int>> ap(p);
    ap.store(std::make_shared<int>(5));
    std::cout << count << ' ' << *ap.load() << ' ' << (std::thread::hardware_concurrency() > 0)
              << '\n';
    try {
        std::thread none;
        none.join();
    } catch (const std::system_error &e) {
        std::cout << e.what() << '\n';
    }
}

void clocks()
{
    auto before = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(30ms);
    auto took = std::chrono::steady_clock::now() - before;
    std::cout << (took >= 30ms && took < 5s) << ' ';
    auto today = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now());
    std::chrono::year_month_day ymd(today);
    std::cout
        << (ymd.year() >= std::chrono::year(2024)) << ' '
        << std::chrono::duration_cast<std::chrono::minutes>(2h + 90s).count() << ' '
        << (std::chrono::sys_days(std::chrono::year(2024) / 2 / 29)).time_since_epoch().count()
        << '\n';
}

} // namespace

int main()
{
    queue();
    locals();
    futures();
    newer();
    others();
    clocks();
}

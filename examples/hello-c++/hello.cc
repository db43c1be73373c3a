// SPDX-License-Identifier: ISC
// hello in C++, with a stream.
#include <iostream>

int main()
{
    std::cout << "Hello from a unikernel in C++.\n";
}

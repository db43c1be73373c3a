// SPDX-License-Identifier: ISC
// What does an empty main bring?
int main(void)
{
    return 0;
}

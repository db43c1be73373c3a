# SPDX-License-Identifier: ISC
# Plots of `make bench`, from the .dat files beside this one's copy in build/bench. Variables say how
# much there is: ratios, starts, memories, latencies.
set terminal svg size 900,480 dynamic background rgb "white" font "sans,12"
set datafile missing "?"
set style fill solid 0.85 border -1
set grid ytics
set key top left
set style data histograms

if (ratios) {
set output "ratios.svg"
set title "Throughput by native's in the same run (higher is better)"
set style histogram clustered gap 1
set xtics rotate by -30
set yrange [0:*]
set ylabel "times native"
plot for [i = 2:5] "ratios.dat" using i:xtic(1) title columnheader(i), 1 with lines dashtype 2 lc rgb "black" title "native"
}

if (starts) {
set output "start.svg"
set title "Exec to the first HTTP byte of nginx"
set style histogram rowstacked
set boxwidth 0.5
set xtics norotate
set ylabel "ms"
plot "start.dat" using 2:xtic(1) title "the monitor", "" using 3 title "the kernel, to the program's start", \
    "" using 4 title "to main() (natively: from exec)", "" using 5 title "main() to the first byte"
}

if (memories) {
set output "memory.svg"
set boxwidth
set title "Memory of one nginx"
set style histogram clustered gap 1
set ylabel "MiB"
plot for [i = 2:5] "memory.dat" using i:xtic(1) title columnheader(i)
}

if (latencies) {
set output "latency.svg"
set title "UDP echo, one datagram at a time: answer times"
set xlabel "microseconds"
set ylabel "part of the answers"
set yrange [0:1]
set logscale x
set key bottom right
plot for [p in "native process kvm qemu linux-guest"] sprintf("latency-%s.dat", p) using 1:2 with lines lw 2 title p
}

<?php
// Files, time, memory, numbers, strings: functions that reach the system below.
header('Content-Type: text/plain');
$dir = sys_get_temp_dir() . '/work' . getmypid();
mkdir($dir);
file_put_contents("$dir/a", str_repeat("line\n", 10000));
copy("$dir/a", "$dir/b");
rename("$dir/b", "$dir/c");
file_put_contents("$dir/c", 'end', FILE_APPEND | LOCK_EX);
symlink("$dir/c", "$dir/link");
echo "files ", implode(' ', array_diff(scandir($dir), ['.', '..'])), ' ', filesize("$dir/c"), ' ',
    md5_file("$dir/link"), ' ', is_link("$dir/link") ? 'link' : 'file', "\n";
$f = fopen("$dir/a", 'r+');
ftruncate($f, 12);
fseek($f, 5);
echo "read ", json_encode(fread($f, 100)), ' ', json_encode(feof($f)), "\n";
fclose($f);
array_map('unlink', glob("$dir/*"));
echo "gone ", json_encode(rmdir($dir)), json_encode(file_exists($dir)), "\n";
$t = hrtime(true);
usleep(20000);
$ms = (hrtime(true) - $t) / 1e6;
echo "sleep ", $ms >= 20 && $ms < 1000 ? 'right' : $ms, "\n";
echo "year ", abs(time() - (int)$_GET['now']) < 60 ? 'right' : date('c'), "\n";
$a = [];
for ($i = 0; $i < 200000; $i++)
    $a[] = $i * $i % 1000003;
sort($a);
echo "sort ", $a[0], ' ', $a[100000], ' ', end($a), "\n";
echo "float ", sqrt(2), ' ', round(M_PI, 10), ' ', intdiv(7, 2), ' ', 2 ** 62, "\n";
echo "text ", strtoupper('lith'), ' ', preg_replace('/(\w+) (\w+)/', '$2 $1', 'hello world'), ' ',
    strrev('abc'), ' ', crc32('lith'), "\n";
echo "random ", strlen(random_bytes(32)), ' ', random_bytes(8) === random_bytes(8) ? 'same' : 'differs', "\n";
echo "serial ", serialize([1, 'a' => [true, null, 1.5]]), "\n";
echo "os ", PHP_OS_FAMILY, ' ', php_sapi_name(), ' ', PHP_VERSION, "\n";

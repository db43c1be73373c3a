<?php
// What PHP sees of the request, and what only a working system gives: the same on every machine.
header('Content-Type: text/plain');
header('X-Method: ' . $_SERVER['REQUEST_METHOD']);
echo "method ", $_SERVER['REQUEST_METHOD'], "\n";
echo "uri ", $_SERVER['REQUEST_URI'], "\n";
echo "header ", $_SERVER['HTTP_X_TEST'] ?? 'none', "\n";
ksort($_GET);
ksort($_POST);
echo "get ", json_encode($_GET), "\n";
echo "post ", json_encode($_POST), "\n";
foreach ($_FILES as $name => $file)
    echo "file $name ", $file['name'], ' ', $file['size'], ' ', sha1_file($file['tmp_name']), "\n";

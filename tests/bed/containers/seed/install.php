<?php
// wp-cli is not in Debian, and not needed.
define('WP_INSTALLING', true);
$_SERVER += ['HTTP_HOST' => 'localhost', 'SERVER_PROTOCOL' => 'HTTP/1.1', 'REQUEST_METHOD' => 'GET'];
require '/var/www/html/wp-load.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';

function wp_new_blog_notification(): void  // pluggable: no mail
{
}

wp_install('Bed', 'admin', 'admin@example.com', true, '', 'admin-secret');
wp_insert_user(['user_login' => 'editor', 'user_pass' => 'editor-secret', 'user_email' => 'editor@example.com', 'role' => 'editor']);

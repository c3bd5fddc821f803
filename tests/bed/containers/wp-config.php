<?php
// As the official image's wp-config-docker.php: settings come from the environment.
define('DB_NAME', getenv('WORDPRESS_DB_NAME') ?: 'wordpress');
define('DB_USER', getenv('WORDPRESS_DB_USER') ?: 'wordpress');
define('DB_PASSWORD', getenv('WORDPRESS_DB_PASSWORD') ?: 'wordpress');
define('DB_HOST', getenv('WORDPRESS_DB_HOST') ?: 'mysql');
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $use) {
    define("{$use}_KEY", sha1("bed key $use"));
    define("{$use}_SALT", sha1("bed salt $use"));
}
$table_prefix = 'wp_';
define('WP_DEBUG', false);
// no way out of here: never try wordpress.org
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
define('DISABLE_WP_CRON', true);
if (isset($_SERVER['HTTP_HOST'])) {  // the same site over IPv4, IPv6 and any port
    define('WP_HOME', 'http://' . $_SERVER['HTTP_HOST']);
    define('WP_SITEURL', WP_HOME);
}
if ($extra = getenv('WORDPRESS_CONFIG_EXTRA')) {
    eval($extra);  // the official image does just this
}
if (!defined('ABSPATH')) {
    define('ABSPATH', __DIR__ . '/');
}
require_once ABSPATH . 'wp-settings.php';

<?php
/**
 * Plugin Name: wp-sidecar
 * Description: Writes a line to the container's log for each login that failed or went well. Nothing to set.
 * License: MIT
 *
 *     wp-sidecar: ip=203.0.113.7 event=login_failed via=form code=incorrect_password user=admin forwarded=-
 *
 * `ip` is who connected, as the server says (REMOTE_ADDR; mod_remoteip puts there what a proxy it trusts says). Headers stand, as
 * they came, in `forwarded`. It is the first thing that varies, and all that a visitor chose is percent-encoded behind it, so that nothing he writes can be taken for it or for another line.
 *
 * A file of its own in wp-content/mu-plugins. It asks nothing of the database, and never says a password.
 */

namespace WpSidecar;

if (!defined('ABSPATH')) {
    exit;
}

/** One line, whole: under 1024 bytes, where php-fpm by default begins another, and PIPE_BUF, where a pipe does. */
function tell(string $event, string $via, string $code, string $user): void
{
    $ip = (string) ($_SERVER['REMOTE_ADDR'] ?? '');
    if (!filter_var($ip, FILTER_VALIDATE_IP)) {
        return;  // wp-cli, or a socket: nobody to name
    }
    $line = sprintf(
        "wp-sidecar: ip=%s event=%s via=%s code=%s user=%s forwarded=%s\n",
        $ip,
        $event,
        $via,
        substr(preg_replace('/[^a-z0-9_-]+/i', '_', $code), 0, 60) ?: 'none',
        chosen($user, 60),  // WordPress's own limit for a name
        chosen((string) ($_SERVER['HTTP_X_FORWARDED_FOR'] ?? ''), 120)
    );
    // not error_log(): Apache and nginx would put what they know around it, a referrer among it
    if ($stderr = @fopen('php://stderr', 'wb')) {
        @fwrite($stderr, $line);
        @fclose($stderr);
    }
}

/** What somebody else chose: cut, and without anything that ends a word, a quote or a line. */
function chosen(string $text, int $most): string
{
    $safe = strtr(rawurlencode(substr($text, 0, $most)), ['%40' => '@', '%3A' => ':', '%2C' => ',', '%2B' => '+']);
    return $safe === '' ? '-' : $safe;
}

function via(): string
{
    if (defined('XMLRPC_REQUEST') && XMLRPC_REQUEST) {
        return 'xmlrpc';
    }
    if ((defined('REST_REQUEST') && REST_REQUEST) || isset($_SERVER['PHP_AUTH_USER'])) {
        return 'rest';
    }
    return 'form';
}

function code($error): string
{
    return $error instanceof \WP_Error ? (string) $error->get_error_code() : '';
}

/**
 * A password was wrong: on the form, on a shop's, wherever WordPress is asked. So say it Two Factor, WP 2FA, Solid Security and
 * Wordfence of a wrong second factor too; one that only asks for it (`..._required`) has let the password pass.
 */
add_action('wp_login_failed', function ($user, $error = null) {
    if (via() === 'xmlrpc') {
        last_user((string) $user);  // each of its attempts comes by itself, below
        return;
    }
    $code = code($error);
    $incomplete = substr($code, -9) === '_required';
    tell($incomplete ? 'login_incomplete' : 'login_failed', 'form', $code, (string) $user);
}, 10, 2);

function last_user(?string $user = null): string
{
    static $last = '';
    $was = $last;
    $last = (string) $user;
    return $was;
}

/** Each wrong password of an XML-RPC call, and each in a system.multicall, though WordPress looks at the first only. */
add_filter('xmlrpc_login_error', function ($answer, $error = null) {
    tell('login_failed', 'xmlrpc', code($error), last_user());
    return $answer;
}, 10, 2);

/** A wrong application password, which no other hook tells of. Not where the web server itself asked for a password and got it. */
add_action('application_password_failed_authentication', function ($error) {
    static $told = false;
    if ($told || via() === 'xmlrpc' || !empty($_SERVER['AUTH_TYPE'])) {
        return;
    }
    $told = true;
    tell('login_failed', 'rest', code($error), (string) ($_SERVER['PHP_AUTH_USER'] ?? ''));
});

add_action('lostpassword_post', function () {
    $user = $_POST['user_login'] ?? '';
    tell('lost_password', 'form', '', is_string($user) ? wp_unslash($user) : '');
});

add_action('wp_login', function ($user) {
    tell('login', 'form', '', (string) $user);
});
add_action('two_factor_user_authenticated', function ($user) {
    tell('login', 'form', 'second_factor', (string) $user->user_login);
});
add_action('application_password_did_authenticate', function ($user) {
    tell('login', via(), 'application_password', (string) $user->user_login);
});
/** XML-RPC says of a good password only that a call goes on. */
add_action('xmlrpc_call', function () {
    static $told = false;
    $user = wp_get_current_user();
    if (!$told && $user->exists()) {
        $told = true;
        tell('login', 'xmlrpc', '', $user->user_login);
    }
});

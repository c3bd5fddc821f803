<?php
/**
 * Plugin Name: wp-sidecar
 * Description: Writes a line to the container's log for each login that failed or worked. It has no settings.
 * License: MIT
 *
 *     wp-sidecar: ip=203.0.113.7 event=login_failed via=form code=incorrect_password user=admin forwarded=-
 *
 * `ip` is the address that connected, as the server reports it (REMOTE_ADDR; mod_remoteip sets it to what a trusted proxy says).
 * `forwarded` is the header as it was sent. `ip` is the first part that varies. All text of a client stands behind it and is
 * percent-encoded, so that no text of a client can look like the address or like another line.
 *
 * It is a single file for wp-content/mu-plugins. It does not query the database, and never writes a password.
 */

namespace WpSidecar;

if (!defined('ABSPATH')) {
    exit;
}

/** Write one whole line. It is under 1024 bytes, where php-fpm cuts by default, and under PIPE_BUF, so that writes do not mix. */
function tell(string $event, string $via, string $code, string $user): void
{
    $ip = (string) ($_SERVER['REMOTE_ADDR'] ?? '');
    if (!filter_var($ip, FILTER_VALIDATE_IP)) {
        return;  // wp-cli or a socket: there is no address
    }
    $line = sprintf(
        "wp-sidecar: ip=%s event=%s via=%s code=%s user=%s forwarded=%s\n",
        $ip,
        $event,
        $via,
        substr(preg_replace('/[^a-z0-9_-]+/i', '_', $code), 0, 60) ?: 'none',
        chosen($user, 60),  // WordPress's own limit for a user name
        chosen((string) ($_SERVER['HTTP_X_FORWARDED_FOR'] ?? ''), 120)
    );
    // Not error_log(): Apache and nginx would add text around the line, the referrer for example.
    if ($stderr = @fopen('php://stderr', 'wb')) {
        @fwrite($stderr, $line);
        @fclose($stderr);
    }
}

/** Return a client's text, cut, and without characters that end a word, a quote or a line. */
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
 * A wrong password in the form, in a shop's form, or wherever else WordPress checks one. Two Factor, WP 2FA, Solid Security and
 * Wordfence report a wrong second factor in the same way. With a code `..._required` the password was right, and the second factor
 * is only asked for.
 */
add_action('wp_login_failed', function ($user, $error = null) {
    if (via() === 'xmlrpc') {
        last_user((string) $user);  // each attempt of the call is written below
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

/** Each wrong password of an XML-RPC call, and each in a system.multicall, though WordPress checks only the first of these. */
add_filter('xmlrpc_login_error', function ($answer, $error = null) {
    tell('login_failed', 'xmlrpc', code($error), last_user());
    return $answer;
}, 10, 2);

/** A wrong application password, which no other hook reports. Not if the web server itself asked for a password and got it. */
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
/** For a right password of XML-RPC there is only this hook: a call begins. */
add_action('xmlrpc_call', function () {
    static $told = false;
    $user = wp_get_current_user();
    if (!$told && $user->exists()) {
        $told = true;
        tell('login', 'xmlrpc', '', $user->user_login);
    }
});

<?php
/**
 * Plugin Name: wp-sidecar
 * Description: Writes one line to the container's log for each login that failed or succeeded, and refuses logins that a page of another site sends. Needs no settings.
 * License: MIT
 *
 *     wp-sidecar: ip=203.0.113.7 event=login_failed via=form code=incorrect_password user=admin forwarded=-
 *
 * `ip` is the peer as the server names it (REMOTE_ADDR; mod_remoteip replaces it by what a trusted proxy says). Everything that a
 * visitor chose stands behind it, percent-encoded, so that no text of a visitor can be read as an address or as another line.
 *
 * Settings, each a constant in wp-config.php or a variable of the environment:
 *
 *     WP_SIDECAR_PLUGIN_KEY    a secret that each line carries, for `filter = wordpress-auth[key=...]`
 *     WP_SIDECAR_CROSS_SITE    `allow` accepts logins that pages of other sites send
 *
 * The plugin is one file in wp-content/mu-plugins. It does not use the database and never writes a password.
 */

namespace WpSidecar;

if (!defined('ABSPATH')) {
    exit;
}

// wordpress-auth.conf matches these characters and these lengths only.
const KEY = '/^[A-Za-z0-9_-]{16,64}$/D';
const MAX_CODE_BYTES = 60;
// WordPress's own limit for a user name.
const MAX_USER_BYTES = 60;
const MAX_FORWARDED_BYTES = 120;

/**
 * Write one line. It is shorter than 1024 bytes, where php-fpm by default begins another, and than PIPE_BUF, up to which a write
 * to a pipe is never mixed with another.
 */
function report(string $event, string $via, string $code, string $user): void
{
    $ip = peer();
    if ($ip === '') {
        return;
    }
    $line = sprintf(
        "wp-sidecar:%s ip=%s event=%s via=%s code=%s user=%s forwarded=%s\n",
        key(),
        $ip,
        $event,
        $via,
        substr(preg_replace('/[^A-Za-z0-9_-]+/', '_', $code), 0, MAX_CODE_BYTES) ?: 'none',
        encoded($user, MAX_USER_BYTES),
        encoded((string) ($_SERVER['HTTP_X_FORWARDED_FOR'] ?? ''), MAX_FORWARDED_BYTES)
    );
    // error_log() would let Apache and nginx add text of the visitor's, such as the referrer.
    if ($stderr = @fopen('php://stderr', 'wb')) {
        @fwrite($stderr, $line);
        @fclose($stderr);
    }
}

/** Return the peer's address in the usual spelling, or '' where there is none: wp-cli, a Unix socket. */
function peer(): string
{
    $packed = @inet_pton((string) ($_SERVER['REMOTE_ADDR'] ?? ''));
    $ip = $packed === false ? '' : inet_ntop($packed);
    // No peer has an address like ::192.0.2.1 (RFC 4291, 2.5.5.1: deprecated).
    return preg_match('/^::\d+\./', $ip) ? '' : $ip;
}

/** Return what a visitor chose, cut, and without any character that ends a word, a quotation or a line. */
function encoded(string $text, int $max_bytes): string
{
    $safe = strtr(rawurlencode(substr($text, 0, $max_bytes)), ['%40' => '@', '%3A' => ':', '%2C' => ',', '%2B' => '+']);
    return $safe === '' ? '-' : $safe;
}

/** Return ` key=...`, or '' where no usable key is set. */
function key(): string
{
    $key = setting('WP_SIDECAR_PLUGIN_KEY');
    if ($key !== '' && !preg_match(KEY, $key)) {
        static $reported = false;
        $reported = $reported || error_log('wp-sidecar: WP_SIDECAR_PLUGIN_KEY is ignored: a key has 16 to 64 letters, digits, - and _');
        return '';
    }
    return $key === '' ? '' : " key=$key";
}

function setting(string $name): string
{
    return (string) (defined($name) ? constant($name) : getenv($name));
}

function via(): string
{
    if (defined('XMLRPC_REQUEST') && XMLRPC_REQUEST) {
        return 'xmlrpc';
    }
    return defined('REST_REQUEST') && REST_REQUEST ? 'rest' : 'form';
}

function code($error): string
{
    return $error instanceof \WP_Error ? (string) $error->get_error_code() : '';
}

/**
 * A wrong password: on the form, on a shop's form, by XML-RPC, wherever WordPress checks one. Two Factor, WP 2FA, Solid Security
 * and Wordfence fire it for a wrong second factor too. With a code `..._required` the password was right, and a second factor is
 * asked for.
 */
add_action('wp_login_failed', function ($user, $error = null) {
    $code = code($error);
    xmlrpc_failure_is_reported(true);
    report(substr($code, -9) === '_required' ? 'login_incomplete' : 'login_failed', via(), $code, (string) $user);
}, 10, 2);

/** Set whether the XML-RPC login at hand has its line already, and return what was set before. */
function xmlrpc_failure_is_reported(bool $now): bool
{
    static $is = false;
    [$before, $is] = [$is, $now];
    return $before;
}

/**
 * Fires behind wp_login_failed for a wrong password, and alone for the further guesses of a system.multicall: WordPress checks the
 * first only and answers `login_prevented` to the rest. An empty name or password is no guess, here as on the form.
 */
add_filter('xmlrpc_login_error', function ($answer, $error = null) {
    $code = code($error);
    if (!xmlrpc_failure_is_reported(false) && $code !== 'empty_username' && $code !== 'empty_password') {
        report('login_failed', 'xmlrpc', $code, '');
    }
    return $answer;
}, 10, 2);

/**
 * A wrong application password in the Authorization header. WordPress may look at the header again in the same request. Within
 * `authenticate` wp_login_failed follows. Where AUTH_TYPE is set, the web server itself asked for this password and accepted it.
 */
add_action('application_password_failed_authentication', function ($error) {
    static $reported = false;
    if ($reported || doing_filter('authenticate') || !empty($_SERVER['AUTH_TYPE'])) {
        return;
    }
    $reported = true;
    // At this time WordPress does not know yet that it is a REST request.
    report('login_failed', via() === 'form' ? 'rest' : via(), code($error), (string) ($_SERVER['PHP_AUTH_USER'] ?? ''));
});

add_action('lostpassword_post', function () {
    $user = $_POST['user_login'] ?? '';
    $user = is_string($user) ? wp_unslash($user) : '';
    refuse_cross_site($user);
    report('lost_password', 'form', '', $user);
});

/**
 * Plugins that ask for a second factor do so in wp_login, and end the request there: that is no login yet. So this comes last,
 * behind all that were registered before the action began.
 */
add_action('wp_login', function () {
    add_action('wp_login', __NAMESPACE__ . '\logged_in', PHP_INT_MAX);
}, 0);

function logged_in($user): void
{
    report('login', via(), '', (string) $user);
}

add_action('two_factor_user_authenticated', function ($user) {
    report('login', 'form', 'second_factor', (string) $user->user_login);
});
add_action('application_password_did_authenticate', function ($user) {
    report('login', via() === 'form' ? 'rest' : via(), 'application_password', (string) $user->user_login);
});
/** For a right password XML-RPC fires nothing but the start of a method. */
add_action('xmlrpc_call', function () {
    static $reported = false;
    $user = wp_get_current_user();
    if (!$reported && $user->exists()) {
        $reported = true;
        report('login', 'xmlrpc', '', $user->user_login);
    }
});

/**
 * A page of another site can make its visitors' browsers send wrong passwords, which would ban the visitors. So no password is
 * checked that such a page sends, and no new one is mailed. An attacker who sends these headers gets no password checked either.
 *
 * The answer is a redirect, as 403 is what several plugins answer to a wrong password: the access log's filter has to count that.
 * It leads to the front page, as the login page may be hidden.
 */
add_filter('authenticate', function ($user, $name = '', $password = '') {
    if ((string) $password !== '') {
        refuse_cross_site((string) $name);
    }
    return $user;
}, 0, 3);

/** End a request that a page of another site sends. */
function refuse_cross_site(string $user): void
{
    $reason = cross_site();
    if ($reason !== '') {
        report('cross_site', via(), $reason, $user);
        nocache_headers();
        wp_redirect(home_url('/'), 303);
        exit;
    }
}

/**
 * Return the header that says that a page of another site sends this request, or ''. Pages cannot choose these headers, browsers
 * write them. The REST API is not protected: WordPress opens it to all origins.
 */
function cross_site(): string
{
    if (($_SERVER['REQUEST_METHOD'] ?? '') !== 'POST' || via() === 'rest' || setting('WP_SIDECAR_CROSS_SITE') === 'allow') {
        return '';
    }
    $relation = strtolower((string) ($_SERVER['HTTP_SEC_FETCH_SITE'] ?? ''));
    $origin = (string) ($_SERVER['HTTP_ORIGIN'] ?? '');
    if ($relation === '' && $origin === '') {
        return '';  // no browser, or one of before 2020
    }
    if ($relation !== '' && $relation !== 'cross-site') {
        return '';  // same-origin, same-site, none
    }
    // Browsers call http:// and https:// of one host cross-site, too.
    if (is_own($origin)) {
        return '';
    }
    return $relation === '' ? 'origin' : 'sec_fetch_site';
}

/** Return whether this origin is the site's own, or one that a plugin allows by WordPress's filter `allowed_http_origins`. */
function is_own(string $origin): bool
{
    $host = host($origin);
    if ($host === '') {
        return false;  // `null`: the page hides its origin
    }
    if (is_allowed_http_origin($origin)) {
        return true;
    }
    // Behind a proxy any of these may be the name that the browser knows.
    $forwarded = explode(',', (string) ($_SERVER['HTTP_X_FORWARDED_HOST'] ?? ''))[0];
    $own = [host('//' . ($_SERVER['HTTP_HOST'] ?? '')), host('//' . trim($forwarded)), host(home_url()), host(site_url())];
    foreach ($own as $each) {
        if ($each !== '' && ($each === $host || domain($each) === domain($host))) {
            return true;
        }
    }
    return false;
}

function host(string $url): string
{
    return strtolower((string) parse_url($url, PHP_URL_HOST));
}

/**
 * Return the host's last two labels, or three where the last two look like `co.uk`. Without the list of public suffixes this is a
 * guess; it only matters for browsers that do not send Sec-Fetch-Site, and for sites without https.
 */
function domain(string $host): string
{
    if (filter_var(trim($host, '[]'), FILTER_VALIDATE_IP)) {
        return $host;
    }
    $labels = explode('.', $host);
    $is_suffix = preg_match('/(?:^|\.)(?:com?|net|org|gov|gob|gv|edu|ac|or|ne|go)\.[a-z]{2}$/D', $host);
    return implode('.', array_slice($labels, $is_suffix ? -3 : -2));
}

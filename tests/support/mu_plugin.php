<?php
/**
 * Runs the mu-plugin without WordPress. It reads JSON objects, one a line, and answers each with {"result": ...}:
 *
 *     {"server": {...}, "env": {...}, "call": "report", "args": [...]}
 *     {"server": {...}, "env": {...}, "fire": [[hook, args, [[hook within that hook, args], ...]], ...]}
 *
 * Strings are Base64, so that any bytes can be sent; among the arguments of hooks `error CODE` is a WP_Error and `user NAME` a
 * WP_User. The plugin's lines go to the standard error output.
 */

define('ABSPATH', '/');

class WP_Error
{
    public function __construct(private string $code) {}
    public function get_error_code(): string { return $this->code; }
}

class WP_User
{
    public function __construct(public string $user_login) {}
    public function exists(): bool { return $this->user_login !== ''; }
}

/** WordPress's hooks: by priority, and what is added on the way still runs. */
class Hooks
{
    private static array $callbacks = [];
    public static array $running = [];

    public static function add(string $hook, $callback, int $priority = 10): void
    {
        self::$callbacks[$hook][$priority][] = $callback;
    }

    public static function run(string $hook, array $args, array $within = []): void
    {
        self::$running[] = $hook;
        for ($done = []; $callback = self::next($hook, $done); $done[] = $callback) {
            $callback(...$args);
        }
        foreach ($within as $inner) {
            self::run(...$inner);
        }
        array_pop(self::$running);
    }

    private static function next(string $hook, array $done)
    {
        $left = self::$callbacks[$hook] ?? [];
        ksort($left);
        foreach (array_merge(...$left) as $callback) {
            if (!in_array($callback, $done, true)) {
                return $callback;
            }
        }
        return null;
    }
}

function add_action($hook, $callback, $priority = 10) { Hooks::add($hook, $callback, $priority); }
function add_filter($hook, $callback, $priority = 10) { Hooks::add($hook, $callback, $priority); }
function doing_filter($hook) { return in_array($hook, Hooks::$running, true); }
function wp_unslash($text) { return stripslashes($text); }
function wp_get_current_user() { return new WP_User((string) getenv('CURRENT_USER')); }
function home_url($path = '') { return getenv('HOME_URL') . $path; }
function site_url($path = '') { return getenv('SITE_URL') . $path; }
function is_allowed_http_origin($origin) { return $origin === getenv('ALLOWED_ORIGIN'); }
function nocache_headers() {}
function wp_redirect($url, $status) { answer("$status $url"); }

function answer($result): void
{
    echo json_encode(['result' => is_string($result) ? base64_encode($result) : $result]), "\n";
}

function decoded($value)
{
    if (is_array($value)) {
        return array_map('decoded', $value);
    }
    $text = base64_decode($value);
    [$kind, $name] = explode(' ', $text, 2) + ['', ''];
    return ['error' => new WP_Error($name), 'user' => new WP_User($name)][$kind] ?? $text;
}

require __DIR__ . '/../../wordpress/mu-plugins/wp-sidecar.php';

while (($line = fgets(STDIN)) !== false) {
    $request = json_decode($line, true, 64, JSON_THROW_ON_ERROR);
    $_SERVER = array_map('base64_decode', $request['server'] ?? []);
    foreach ($request['env'] ?? [] as $name => $value) {
        putenv($name . '=' . base64_decode($value));
    }
    foreach ($request['define'] ?? [] as $name => $value) {
        define($name, base64_decode($value));
    }
    foreach ($request['fire'] ?? [] as $hook) {
        Hooks::run(...decoded_hook($hook));
    }
    answer(isset($request['call']) ? ('WpSidecar\\' . $request['call'])(...array_map('base64_decode', $request['args'] ?? [])) : null);
}

function decoded_hook(array $hook): array
{
    [$name, $args, $within] = $hook + [1 => [], 2 => []];
    return [$name, decoded($args), array_map('decoded_hook', $within)];
}

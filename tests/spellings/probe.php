<?php
/**
 * Plugin Name: spelling probe
 *
 * Writes one line for each request in which WordPress checked a password: its X-Spelling header, whether the password
 * was right, and the way. Another line for each page of wp-admin that a logged-in user was served.
 */

namespace SpellingProbe;

function record(string $what): void
{
    $id = (string) ($_SERVER['HTTP_X_SPELLING'] ?? '?');
    file_put_contents('/probe/probe.log', "$id $what\n", FILE_APPEND | LOCK_EX);
}

/** bcrypt at its lowest cost: 100,000 wrong passwords would take an hour of processor time at WordPress's own. */
add_filter('wp_hash_password_options', fn (array $options) => ['cost' => 4] + $options);

/** After all that check a password have done so (core's run at 20; those of cookies at 30). */
add_filter('authenticate', function ($user, $name, $password) {
    static $checked = false;
    if ((string) $password !== '' && !$checked) {
        $checked = true;
        record($user instanceof \WP_User ? 'right' : 'wrong');
    }
    return $user;
}, 9999, 3);

/** As where somebody uses an application password: WordPress checks them only then. */
add_filter('pre_option_using_application_passwords', '__return_true');

add_action('application_password_failed_authentication', function () {
    static $told = false;
    if (!$told) {
        $told = true;
        record('wrong-application');
    }
});

/** Fires for every page of wp-admin, admin-ajax.php among them, which serves strangers too. */
add_action('admin_init', function () {
    record(is_user_logged_in() ? 'admin' : 'stranger');
});

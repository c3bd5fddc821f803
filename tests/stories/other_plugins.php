<?php
/* What plugins of others do, each where a query asks for it. */

/** A warning that quotes a visitor. */
add_action('init', function () {
    if (isset($_GET['warn'])) {
        trigger_error('Cannot find ' . wp_unslash($_GET['warn']), E_USER_WARNING);
    }
});

/** A login by the REST API, as plugins for JSON Web Tokens have. */
add_action('rest_api_init', function () {
    register_rest_route('other', '/token', ['methods' => 'POST', 'permission_callback' => '__return_true', 'callback' => function ($request) {
        return wp_authenticate($request['username'], $request['password']);
    }]);
});

/** A second factor: the login ends here, and a code is asked for. */
add_action('wp_login', function () {
    if (isset($_GET['second_factor'])) {
        exit('Your code?');
    }
}, PHP_INT_MAX);

/** A portal that may send logins. */
add_filter('allowed_http_origins', function ($origins) {
    return array_merge($origins, ['https://portal.example']);
});

/** A mailer: the containers have none, and WordPress would answer a lost password with an error. */
add_filter('pre_wp_mail', '__return_true');

#!/bin/sh
# Installs WordPress into the database, as part of the image.
set -e
docker-entrypoint.sh mariadbd --skip-networking --socket=/run/mysqld/mysqld.sock &
until mariadb-admin ping --silent; do sleep 0.1; done
until mariadb -e 'USE wordpress' 2>/dev/null; do sleep 0.1; done
WORDPRESS_DB_HOST=localhost:/run/mysqld/mysqld.sock php /tmp/install.php
mariadb-admin shutdown
wait

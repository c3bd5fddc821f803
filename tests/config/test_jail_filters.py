from sidecar.config.jail_filters import JailFilters
from sidecar.config.jail_values import JailValues
from sidecar.core.jail import Jail
from sidecar.filters.ini import Ini


def filters(folder, text):
    (folder / "mail.conf").write_text("[Definition]\nfailregex = ^fail <HOST>$\n")
    path = folder / "jails.conf"
    path.write_text(text)
    ini = Ini()
    ini.add(path, lambda including, name: None)
    values = JailValues(ini, path, [path])
    return values, JailFilters(values, [folder])


def test_a_filter_is_loaded_once(tmp_path):
    _, loader = filters(tmp_path, "[one]\n[two]\n")

    assert loader.load(Jail("one", "mail")) is loader.load(Jail("two", "mail"))


def test_a_jails_own_expression_replaces_the_filters(tmp_path):
    _, loader = filters(tmp_path, "[one]\nfailregex = ^bad <HOST>$\n")

    assert [rule.text for rule in loader.load(Jail("one", "mail")).failregex] == ["^bad <HOST>$"]


def test_a_missing_filter_is_an_error_of_the_jail(tmp_path):
    values, loader = filters(tmp_path, "[one]\nfilter = mial\n")

    assert loader.load(Jail("one", "mial")) is None
    assert [(error.section, error.key, error.line) for error in values.errors] == [("one", "filter", 2)]


def test_an_expression_for_dockers_own_files_is_noted_where_containers_are_read(tmp_path):
    values, loader = filters(tmp_path, '[one]\nfailregex = ^{"log":"<HOST> x$\n')
    loader.load(Jail("one", "mail", logpath=("/var/lib/docker/containers/*/*-json.log",)))
    assert values.notes == []
    loader.load(Jail("one", "mail"))

    [note] = values.notes
    assert 'mail expects lines as Docker\'s json-file driver stores them ({"log":"...)' in note

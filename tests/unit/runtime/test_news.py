"""What has changed since a version of the inventory."""

from lora_runtime.news import News, NewsOf


def news_of(*changed: str) -> NewsOf:
    """Each of these has changed in a version of its own."""
    news = NewsOf()
    for name in changed:
        news.changed(name)
        news.next()
    return news


def test_only_what_changed_after_a_version_is_news() -> None:
    news = news_of("a", "b", "a")
    assert news.since(1) == News(frozenset({"a", "b"}), frozenset())
    assert news.since(2) == News(frozenset({"a"}), frozenset())
    assert news.since(3) == News(frozenset(), frozenset())


def test_a_name_that_left_is_gone_until_it_is_back() -> None:
    news = news_of("a")
    news.gone("a")
    news.next()
    assert news.since(1) == News(frozenset(), frozenset({"a"}))
    news.changed("a")
    news.next()
    assert news.since(1) == News(frozenset({"a"}), frozenset())


def test_who_knows_a_version_that_nobody_gave_out_is_not_told_news() -> None:
    assert news_of("a").since(2) is None


def test_who_missed_more_departures_than_are_remembered_is_not_told_news() -> None:
    news = NewsOf()
    for number in range(10_002):
        news.gone(str(number))
        news.next()
    assert news.since(1) is None
    since = news.since(3)
    assert since is not None
    assert len(since.gone) == 9_999

#include "shared/net/connection.hpp"
#include "shared/net/mailbox.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace waggle::net {
namespace {

using Task = Mailbox::Task;

Deadline at_once() {
    return std::chrono::steady_clock::now();
}

struct MailboxTest : testing::Test {
    std::vector<Task> asked;
    Mailbox mailbox{[this](Task task) { asked.push_back(task); }};
};

TEST_F(MailboxTest, RequestsOneWriteWhileMessagesAreQueued) {
    mailbox.send("a", at_once());
    mailbox.send("b", at_once());
    EXPECT_EQ(asked, std::vector{Task::write});
    EXPECT_EQ(mailbox.next().message, "a");
    EXPECT_EQ(mailbox.next().message, "b");
    EXPECT_EQ(mailbox.next().message, std::nullopt);
    mailbox.send("c", at_once());
    EXPECT_EQ(asked, (std::vector{Task::write, Task::write}));
}

TEST_F(MailboxTest, HoldsTheSenderBackByCountAndByBytes) {
    for (size_t i = 0; i < Mailbox::max_queued_messages; ++i)
        mailbox.send("x", at_once());
    EXPECT_THROW(mailbox.send("x", at_once()), TimedOut);
    while (mailbox.next().message) {
    }
    mailbox.send(std::string(Mailbox::max_queued_bytes, 'x'), at_once());
    EXPECT_THROW(mailbox.send("x", at_once()), TimedOut);
    EXPECT_TRUE(mailbox.next().message);
    mailbox.send("x", at_once());
}

TEST_F(MailboxTest, StopsReadingWhenFullAndResumesWhenHalfEmpty) {
    for (size_t i = 1; i < Mailbox::max_queued_messages; ++i)
        ASSERT_TRUE(mailbox.deliver("x"));
    EXPECT_FALSE(mailbox.deliver("last"));
    EXPECT_FALSE(mailbox.reading());
    for (size_t i = 1; i < Mailbox::max_queued_messages / 2; ++i)
        mailbox.receive(at_once());
    EXPECT_TRUE(asked.empty());
    mailbox.receive(at_once());
    EXPECT_EQ(asked, std::vector{Task::read});
    EXPECT_TRUE(mailbox.reading());
}

TEST_F(MailboxTest, DeliversReceivedMessagesBeforeALoss) {
    mailbox.deliver("last words");
    mailbox.lose("gone");
    EXPECT_EQ(mailbox.receive(at_once()), "last words");
    EXPECT_THROW(mailbox.receive(at_once()), ConnectionLost);
    EXPECT_THROW(mailbox.send("x", at_once()), ConnectionLost);
    EXPECT_TRUE(asked.empty());
}

TEST_F(MailboxTest, AnOrderlyEndIsNoError) {
    mailbox.end_orderly();
    EXPECT_EQ(mailbox.receive(at_once()), std::nullopt);
    EXPECT_THROW(mailbox.send("x", at_once()), ConnectionLost);
}

TEST_F(MailboxTest, FinishRequestsACloseAfterTheQueuedWrite) {
    mailbox.send("last", at_once());
    mailbox.finish(at_once()); // no thread writes here, so it ends in an abort
    EXPECT_EQ(asked, (std::vector{Task::write, Task::close}));
    EXPECT_EQ(mailbox.next().message, std::nullopt);
}

TEST_F(MailboxTest, KeepsTheFirstReasonOfALoss) {
    mailbox.lose("the cable");
    mailbox.abort();
    mailbox.lose("another");
    EXPECT_TRUE(asked.empty()) << "who loses a connection closes it";
    try {
        mailbox.receive(at_once());
        FAIL();
    } catch (const ConnectionLost& lost) {
        EXPECT_STREQ(lost.what(), "the cable");
    }
}

} // namespace
} // namespace waggle::net

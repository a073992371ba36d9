#pragma once

// The only header that includes Asio and Beast: a translation unit that includes it takes half a minute and more than
// 1 GB to compile. All other code includes connection.hpp, server.hpp and client.hpp.
//
// Rules for coroutines (g++ 12 destroys a capturing lambda in a co_await expression twice): coroutines are named
// functions that take values, or references that outlive them; no lambda with captures in an expression with co_await.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <boost/beast/websocket/stream.hpp>

#include <utility> // some versions of awaitable.hpp use std::exchange without it

namespace waggle::net {

namespace asio = boost::asio;
namespace websocket = boost::beast::websocket;
using boost::system::error_code;
using boost::system::system_error;

using StreamSocket = asio::generic::stream_protocol::socket; // TCP, or one end of a socket pair
using TlsStream = asio::ssl::stream<StreamSocket>;           // not beast::ssl_stream, which sends less than it reports
using WebSocket = websocket::stream<TlsStream, false>;       // false: no compression

} // namespace waggle::net

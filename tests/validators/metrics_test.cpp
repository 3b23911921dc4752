// Distances against numbers that were worked out by hand.
#include "validators/Metrics.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>

using namespace flagrelease;

namespace {
constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();
HostTensor rows(std::vector<int64_t> shape, std::vector<float> values) { return HostTensor::ofFloats(std::move(shape), values); }
} // namespace

TEST_CASE("distances of two small tensors") {
  // Differences 1, 0, 0, -2; squares of the reference 9 + 16 + 0 + 25 = 50.
  Distance d = distance(rows({2, 2}, {4, 4, 0, 3}), rows({2, 2}, {3, 4, 0, 5}));
  CHECK(d.nmse == Approx(5.0 / 50));
  CHECK(d.maxAbs == 2);
  CHECK(d.maxRelative == Approx(2.0 / 5));
  // Rows (4,4)·(3,4) = 28, |.| = sqrt 32 * 5; row 2 is parallel.
  CHECK(d.cosine == Approx(28 / (std::sqrt(32.0) * 5)));
  CHECK(d.rows == 2);
  CHECK_FALSE(d.kl);
  CHECK(d.notFinite == 0);
}

TEST_CASE("divergence and top k of distributions") {
  DistanceOptions options;
  options.distribution = true;
  options.k = 1;
  // p = (1/2, 1/2), q = (3/4, 1/4): sum p log(p/q) = 1/2 log(2/3) + 1/2 log 2.
  Distance d = distance(rows({1, 2}, {std::log(3.0f), 0}), rows({1, 2}, {7, 7}), options);
  CHECK(*d.kl == Approx(0.5 * std::log(2.0 / 3) + 0.5 * std::log(2.0)).epsilon(1e-6));
  CHECK(*d.topK == 1);
  CHECK(*distance(rows({1, 3}, {0, 1, 0}), rows({1, 3}, {1, 0, 0}), options).topK == 0);
  options.k = 2;
  CHECK(*distance(rows({1, 3}, {2, 1, 0}), rows({1, 3}, {2, 0, 1}), options).topK == 0.5);
  // Large logits do not overflow.
  CHECK(*distance(rows({1, 2}, {10000, 0}), rows({1, 2}, {10000, 0}), options).kl == 0);
  // A masked logit has no weight; one that only the device masks costs everything.
  CHECK(*distance(rows({1, 3}, {1, 2, -kInf}), rows({1, 3}, {1, 2, -kInf}), options).kl == Approx(0).margin(1e-15));
  CHECK(std::isinf(*distance(rows({1, 3}, {1, 2, -kInf}), rows({1, 3}, {1, 2, 0}), options).kl));
}

TEST_CASE("what is not a number is the worst there is") {
  Distance d = distance(rows({2, 2}, {1, kNan, 3, 4}), rows({2, 2}, {1, 2, 3, 4}));
  CHECK(std::isinf(d.nmse));
  CHECK(std::isinf(d.maxAbs));
  CHECK(d.cosine == -1);
  CHECK(d.notFinite == 1);
  CHECK(std::isinf(distance(rows({1}, {kInf}), rows({1}, {1})).nmse));
  // Where the reference has none either, it is no difference.
  CHECK(distance(rows({1, 2}, {kNan, 1}), rows({1, 2}, {kNan, 1})).nmse == 0);
  CHECK(distance(rows({1, 2}, {kInf, 1}), rows({1, 2}, {kInf, 1})).notFinite == 0);
  // A number where the reference has NaN is a difference, but not a broken device.
  CHECK(std::isinf(distance(rows({1, 2}, {0, 1}), rows({1, 2}, {kNan, 1})).nmse));
  CHECK(distance(rows({1, 2}, {0, 1}), rows({1, 2}, {kNan, 1})).notFinite == 0);
}

TEST_CASE("zeros") {
  CHECK(distance(rows({2}, {0, 0}), rows({2}, {0, 0})).nmse == 0);
  CHECK(distance(rows({2}, {0, 0}), rows({2}, {0, 0})).cosine == 1);
  CHECK(std::isinf(distance(rows({2}, {0, 1}), rows({2}, {0, 0})).nmse));
  CHECK(distance(rows({2}, {0, 0}), rows({2}, {0, 1})).cosine == 0);
  CHECK(distance(rows({2}, {0, 0}), rows({2}, {0, 1})).nmse == 1);
}

TEST_CASE("rows with one value everywhere") {
  DistanceOptions options;
  options.constant = {1e-6, 1e-3};
  CHECK(distance(rows({2, 3}, {5, 5, 5, 1, 2, 3}), rows({2, 3}, {1, 2, 3, 1, 2, 3}), options).constantRows == 1);
  CHECK(distance(rows({1, 3}, {0, 0, 0}), rows({1, 3}, {1, 2, 3}), options).constantRows == 1);
  // The reference's row is as constant; and without a rule nothing is.
  CHECK(distance(rows({1, 3}, {5, 5, 5}), rows({1, 3}, {2, 2, 2}), options).constantRows == 0);
  CHECK(distance(rows({1, 3}, {5, 5, 5}), rows({1, 3}, {1, 2, 3})).constantRows == 0);
}

TEST_CASE("selected rows, groups and the worse of two") {
  HostTensor got = rows({3, 2}, {1, 1, 9, 9, 2, 2}), ref = rows({2, 2}, {1, 1, 2, 2});
  DistanceGroup group;
  group.add(got, {0, 2}, ref, {0, 1});
  CHECK(group.finish().nmse == 0);
  group.add(got, {1}, ref, {0});
  // 64 + 64 over 2 + 8 + 2.
  CHECK(group.finish().nmse == Approx(128.0 / 12));
  CHECK(group.finish().rows == 3);
  Distance a, b;
  a.nmse = 1, a.cosine = 0.5, a.rows = 2;
  b.nmse = 2, b.cosine = 0.9, b.kl = 3, b.rows = 1;
  a.merge(b);
  CHECK(a.nmse == 2);
  CHECK(a.cosine == 0.5);
  CHECK(*a.kl == 3);
  CHECK(a.rows == 3);
}

TEST_CASE("other types, largest and margin") {
  HostTensor half(DType::F16, {2});
  half.as<uint16_t>()[0] = f32ToF16(1.5f);
  half.as<uint16_t>()[1] = f32ToF16(-2);
  CHECK(rowOf(half, 0) == std::vector<double>{1.5, -2});
  CHECK(distance(half, rows({2}, {1.5f, -2})).nmse == 0);
  const std::vector<double> row = {1, kNan, 4, 4, 3};
  CHECK(argMax(row) == 2);
  CHECK(topMargin(row) == 0);
  CHECK(topMargin(std::vector<double>{1, 5, 3}) == 2);
  CHECK(argMax(std::vector<double>{kNan, -1}) == 1);
}

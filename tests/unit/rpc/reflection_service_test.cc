#include "server/rpc/reflection_service.h"

#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"
#include "tests/unit/rpc/rpc_fixture.h"

namespace transportd {
namespace {

using grpc::reflection::v1::ServerReflectionRequest;
using grpc::reflection::v1::ServerReflectionResponse;
using testing::IsSupersetOf;

using ReflectionServiceTest = RpcFixture;

TEST_F(ReflectionServiceTest, BothVersionsListTheServices) {
  for (const char* service : {"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}) {
    RawStream stream(channel_, std::string("/") + service + "/ServerReflectionInfo");
    ServerReflectionRequest request;
    request.set_list_services("");
    std::vector<std::string> names;
    for (int i = 0; i < 2; ++i) {
      names.clear();
      ASSERT_TRUE(stream.Write(request.SerializeAsString()));
      std::string bytes;
      ASSERT_TRUE(stream.Read(bytes));
      ServerReflectionResponse response;
      ASSERT_TRUE(response.ParseFromString(bytes));
      for (const auto& listed : response.list_services_response().service()) names.push_back(listed.name());
    }
    EXPECT_THAT(names, IsSupersetOf({std::string("transportd.v1.EventLoop"), std::string("transportd.v1.Transport"),
                                     std::string("transportd.v1.Server"), std::string("transportd.v1.Admin"),
                                     std::string(service)}));
    stream.HalfClose();
    std::string nothing;
    EXPECT_FALSE(stream.Read(nothing));
    EXPECT_TRUE(stream.Finish().ok());
  }
}

TEST_F(ReflectionServiceTest, SymbolComesWithAllItsFilesAndCanBeBuilt) {
  ServerReflectionRequest request;
  request.set_file_containing_symbol("transportd.v1.EventLoop");
  const ServerReflectionResponse response = reflection_->Answer(request);
  const auto& files = response.file_descriptor_response().file_descriptor_proto();
  google::protobuf::DescriptorPool pool;
  std::vector<google::protobuf::FileDescriptorProto> protos(static_cast<size_t>(files.size()));
  for (size_t i = 0; i < protos.size(); ++i) ASSERT_TRUE(protos[i].ParseFromString(files[static_cast<int>(i)]));
  ASSERT_FALSE(protos.empty());
  EXPECT_EQ(protos[0].name(), "transportd/v1/event_loop.proto");
  for (size_t i = 1; i < protos.size(); ++i) ASSERT_NE(pool.BuildFile(protos[i]), nullptr) << protos[i].name();
  ASSERT_NE(pool.BuildFile(protos[0]), nullptr);
  EXPECT_NE(pool.FindServiceByName("transportd.v1.EventLoop"), nullptr);
}

TEST_F(ReflectionServiceTest, WhatIsNotThereIsNotFound) {
  ServerReflectionRequest requests[4];
  requests[0].set_file_by_filename("nope.proto");
  requests[1].set_file_containing_symbol("nope");
  requests[2].mutable_file_containing_extension()->set_containing_type("transportd.v1.Command");
  requests[3].set_all_extension_numbers_of_type("transportd.v1.Command");
  for (const auto& request : requests) {
    EXPECT_EQ(reflection_->Answer(request).error_response().error_code(), grpc::StatusCode::NOT_FOUND);
  }
  EXPECT_EQ(reflection_->Answer({}).error_response().error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(ReflectionServiceTest, AsksTheAuthorizer) {
  authorizer_.DenyAll();
  RawStream stream(channel_, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
  std::string nothing;
  EXPECT_FALSE(stream.Read(nothing));
  EXPECT_EQ(stream.Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(authorizer_.TakeMethods(),
            std::vector<std::string>{"grpc.reflection.v1.ServerReflection.ServerReflectionInfo"});
}

}  // namespace
}  // namespace transportd
